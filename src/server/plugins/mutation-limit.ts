import { GraphQLError, getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { RateLimitedError } from '../../api/errors.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';

/** Mutations that start turns: they have a limit of their own, and to attach to a turn again is free. */
const turnMutations: ReadonlySet<string> = new Set(['sendMessage', 'startRun']);

/** Limits how often a user may change anything: each field of a mutation takes one point, before it is executed. */
export function useMutationLimit(limit: RateLimit): Plugin<RequestContext, RequestContext> {
  return {
    async onExecute({ args, setResultAndStopExecution }) {
      const operation = getOperationAST(args.document, args.operationName);
      const { viewer } = args.contextValue.operation;
      if (operation?.operation !== 'mutation' || viewer === null) return;
      const { selections } = operation.selectionSet;
      // A fragment counts as one field: nobody writes a mutation so, and the limit of aliases bounds what it can hold.
      const changes = selections.filter((field) => field.kind !== 'Field' || !turnMutations.has(field.name.value));
      try {
        for (const _ of changes) await limit.take(viewer);
      } catch (originalError) {
        if (!(originalError instanceof RateLimitedError)) throw originalError;
        setResultAndStopExecution({ errors: [new GraphQLError(originalError.message, { originalError })] });
      }
    },
  };
}
