import { type DocumentNode, type FieldNode, GraphQLError, getOperationAST, Kind, type SelectionNode } from 'graphql';
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
      const fields = listFields(args.document, operation.selectionSet.selections);
      const changes = fields.filter((field) => !turnMutations.has(field.name.value));
      try {
        for (const _ of changes) await limit.take(viewer);
      } catch (originalError) {
        if (!(originalError instanceof RateLimitedError)) throw originalError;
        setResultAndStopExecution({ errors: [new GraphQLError(originalError.message, { originalError })] });
      }
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
