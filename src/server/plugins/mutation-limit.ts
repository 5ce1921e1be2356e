import {
  type DocumentNode,
  type ExecutionArgs,
  type FieldNode,
  GraphQLError,
  getOperationAST,
  Kind,
  type SelectionNode,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { RateLimitedError } from '../../api/errors.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';

/** Mutations that start turns: they have a limit of their own, and to attach to a turn again is free. */
const turnMutations: ReadonlySet<string> = new Set(['sendMessage', 'startRun']);

/** Subscriptions that begin something each time, and count as the mutations that do the same. */
const countedSubscriptions: ReadonlySet<string> = new Set(['testAgentEvents']);

/** Limits how often a user may change anything: each field of a mutation takes one point, before it is executed. */
export function useMutationLimit(limit: RateLimit): Plugin<RequestContext, RequestContext> {
  const explainRefusal = async (
    { document, operationName }: ExecutionArgs,
    { operation: { viewer } }: RequestContext,
  ) => {
    const operation = getOperationAST(document, operationName);
    if (!operation || viewer === null) return null;
    const fields = listFields(document, operation.selectionSet.selections).map(({ name }) => name.value);
    const counted = fields.filter((name) =>
      operation.operation === 'mutation' ? !turnMutations.has(name) : countedSubscriptions.has(name),
    );
    try {
      for (const _ of counted) await limit.take(viewer);
      return null;
    } catch (originalError) {
      if (!(originalError instanceof RateLimitedError)) throw originalError;
      return { errors: [new GraphQLError(originalError.message, { originalError })] };
    }
  };
  return {
    async onExecute({ args, setResultAndStopExecution }) {
      if (getOperationAST(args.document, args.operationName)?.operation !== 'mutation') return;
      const refusal = await explainRefusal(args, args.contextValue);
      if (refusal) setResultAndStopExecution(refusal);
    },
    async onSubscribe({ args, setResultAndStopExecution }) {
      const refusal = await explainRefusal(args, args.contextValue);
      if (refusal) setResultAndStopExecution(refusal);
    },
  };
}

/**
 * The fields of an operation, also those in fragments.
 * @param seen the fragments that were counted: a document that spreads one again selects the same fields
 */
function listFields(
  document: DocumentNode,
  selections: readonly SelectionNode[],
  seen = new Set<string>(),
): readonly FieldNode[] {
  return selections.flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection];
    if (selection.kind === Kind.INLINE_FRAGMENT) return listFields(document, selection.selectionSet.selections, seen);
    const name = selection.name.value;
    if (seen.has(name)) return [];
    seen.add(name);
    return document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name
        ? listFields(document, definition.selectionSet.selections, seen)
        : [],
    );
  });
}
