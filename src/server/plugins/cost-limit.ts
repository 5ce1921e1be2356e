import { type DocumentNode, type ExecutionArgs, GraphQLError, getOperationAST, Kind, validate } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { QueryTooComplexError } from '../../api/errors.ts';
import { createCostRule } from '../../graphql/cost-rule.ts';

/** The highest cost of one operation: its fields, multiplied by the sizes of the lists that contain them. */
const maxCost = 20_000;

/**
 * Limits the cost of an operation, as Pothos computes it from the document and the variables.
 * The check runs just before the operation does, not in resolvers: there, the source of a subscription would have been
 * started already. It is no validation rule either, because results of validation are cached per document.
 */
export function useCostLimit(): Plugin {
  const check = (args: ExecutionArgs, stop: (result: { errors: readonly GraphQLError[] }) => void) => {
    if (isIntrospection(args.document, args.operationName)) return;
    const rule = createCostRule(args, (cost) => {
      if (cost <= maxCost) return null;
      const originalError = new QueryTooComplexError(
        `The operation costs ${cost}; ${maxCost} is the limit. Ask for smaller pages or fewer fields.`,
      );
      return new GraphQLError(originalError.message, { originalError });
    });
    const errors = validate(args.schema, args.document, [rule]);
    if (errors.length > 0) stop({ errors });
  };
  return {
    onExecute: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
    onSubscribe: ({ args, setResultAndStopExecution }) => check(args, setResultAndStopExecution),
  };
}

/** Whether it selects fields of introspection only: the schema does not grow, so its depth limit is enough. */
function isIntrospection(document: DocumentNode, operationName: string | null | undefined): boolean {
  const selections = getOperationAST(document, operationName)?.selectionSet.selections ?? [];
  return selections.every((selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'));
}
