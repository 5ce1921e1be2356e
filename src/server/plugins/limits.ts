import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import { createComplexityRule } from '@pothos/plugin-complexity';
import { type DocumentNode, type ExecutionArgs, GraphQLError, getOperationAST, Kind, validate } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { QueryTooComplexError } from '../../api/errors.ts';
import type { RequestContext } from '../request-context.ts';

/** How much one document may ask for. GraphiQL's introspection has a depth of 15 and some 350 tokens. */
const limits = { depth: 16, aliases: 30, directives: 30, tokens: 4_000, cost: 20_000 } as const;

const reject = {
  onReject: [
    (_context: unknown, error: GraphQLError) => {
      throw new QueryTooComplexError(error.message.replace(/^Syntax Error: /, ''));
    },
  ],
};

/** Depth, aliases, directives and tokens, by graphql-armor: what can be told from the document alone. */
export function listDocumentLimits(): Plugin[] {
  return [
    maxTokensPlugin({ n: limits.tokens, ...reject }),
    maxDepthPlugin({ n: limits.depth, flattenFragments: true, ...reject }),
    maxAliasesPlugin({ n: limits.aliases, ...reject }),
    maxDirectivesPlugin({ n: limits.directives, ...reject }),
  ];
}

/**
 * Cost, by Pothos: fields, times the sizes of the lists that they are in, which takes the variables to know.
 * Checked when an operation is about to run and not in its resolvers: there, a subscription over the limit would
 * have started its source already. Not among the validation rules: their results are kept per document.
 */
export function useCostLimit(): Plugin<RequestContext> {
  const check = (args: ExecutionArgs, stop: (result: { errors: readonly GraphQLError[] }) => void) => {
    if (isIntrospection(args.document, args.operationName)) return;
    const rule = createComplexityRule({
      context: {},
      variableValues: { ...args.variableValues },
      operationName: args.operationName ?? null,
      validate: ({ complexity }, report) => {
        if (complexity <= limits.cost) return;
        const originalError = new QueryTooComplexError(
          `The operation costs ${complexity}; ${limits.cost} is the limit.`,
        );
        report(new GraphQLError(originalError.message, { originalError }));
      },
    });
    const errors = validate(args.schema, args.document, [rule]);
    if (errors.length > 0) stop({ errors });
  };
  return {
    onExecute: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
    onSubscribe: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
  };
}

/** Asks about the schema only: graphql-js bounds the depth of that itself, and the schema is as large as it is. */
function isIntrospection(document: DocumentNode, operationName: string | null | undefined): boolean {
  const selections = getOperationAST(document, operationName)?.selectionSet.selections ?? [];
  return selections.every((selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'));
}
