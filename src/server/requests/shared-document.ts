import { Kind, type OperationDefinitionNode, parse, type SelectionSetNode } from 'graphql';
import type { GraphQLParams } from 'graphql-yoga';
import { operationForm } from './operation-form.ts';

/** The one root field that may be asked without an access token. */
const rootField = 'sharedConversation';
/** The largest body of such a request, in bytes, and how long it may take. */
export const sharedLimits = { maxBytes: 4_096, totalMs: 5_000 } as const;
const maxTokens = 250;

/**
 * Reads a request without an access token. It must be small, and its document one query of `sharedConversation` alone:
 * without an alias for it, fragments, directives and introspection. What does not mention the field is not parsed as a document.
 * @param body the JSON of one operation
 * @returns null: it is something else
 */
export function readSharedRequest(body: string): GraphQLParams | null {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return null;
  }
  const form = operationForm.safeParse(json);
  if (!form.success) return null;
  const { query, documentId, operationName, variables, extensions } = form.data;
  if (query == null || documentId != null || extensions?.persistedQuery !== undefined) return null;
  if (!query.includes(rootField) || !asksForShared(query)) return null;
  // Extensions of client libraries mean nothing here.
  return { query, ...(operationName ? { operationName } : {}), ...(variables ? { variables } : {}) };
}

function asksForShared(query: string): boolean {
  try {
    const [only, ...others] = parse(query, { noLocation: true, maxTokens }).definitions;
    if (only?.kind !== Kind.OPERATION_DEFINITION || others.length > 0 || only.operation !== 'query') return false;
    return isAlone(only) && isPlain(only.selectionSet);
  } catch {
    return false;
  }
}

function isAlone({ selectionSet, directives }: OperationDefinitionNode): boolean {
  const [field, ...others] = selectionSet.selections;
  return (
    others.length === 0 &&
    field?.kind === Kind.FIELD &&
    field.name.value === rootField &&
    field.alias === undefined &&
    (directives ?? []).length === 0
  );
}

/** Nothing but fields, of which none is of introspection. */
function isPlain({ selections }: SelectionSetNode): boolean {
  return selections.every(
    (selection) =>
      selection.kind === Kind.FIELD &&
      (selection.directives ?? []).length === 0 &&
      (!selection.name.value.startsWith('__') || selection.name.value === '__typename') &&
      (selection.selectionSet === undefined || isPlain(selection.selectionSet)),
  );
}
