import { queryFromInfo } from '@pothos/plugin-prisma';
import { type FieldNode, type GraphQLResolveInfo, Kind, type SelectionNode } from 'graphql';
import type { Context } from './context.ts';

/**
 * What a document selects under the field that is being resolved, as Prisma's include. A node of the Relay interface, or
 * the nodes of a connection, are then loaded with all that is selected, in one statement.
 * @param path from the field to the rows, e.g. `['edges', 'node']`
 */
export function includeUnder(context: Context, info: GraphQLResolveInfo, typeName: string, path: string[] = []) {
  const { include } = queryFromInfo({ context, info, typeName, path });
  return include === undefined ? {} : { include };
}

/** As {@link includeUnder}, for types that read only the columns that they show. */
export function selectUnder(context: Context, info: GraphQLResolveInfo, typeName: string, path: string[] = []) {
  const { select } = queryFromInfo({ context, info, typeName, path });
  return select === undefined ? {} : { select };
}

/** The path from a connection to its rows. */
export const toNodes = ['edges', 'node'];

/**
 * Loads a node for `node` and `nodes`. An error is returned as the value, so that one missing id does not fail the others.
 * Pothos has no type for that; graphql-js accepts an Error as any value.
 */
export function loadNode<Row>(loading: Promise<Row>): Promise<Row> {
  return loading.catch((error: unknown) => error as Row);
}

/**
 * The fields that a document selects on the objects that fields return, those in fragments included. A field that a
 * directive leaves out, or that is of another type of object, is among them all the same.
 */
export function listSelected(
  fieldNodes: readonly FieldNode[],
  { fragments }: Pick<GraphQLResolveInfo, 'fragments'>,
): FieldNode[] {
  const found: FieldNode[] = [];
  const seen = new Set<string>();
  const visit = (selections: readonly SelectionNode[]) => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        found.push(selection);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        visit(selection.selectionSet.selections);
      } else if (!seen.has(selection.name.value)) {
        seen.add(selection.name.value);
        visit(fragments[selection.name.value]?.selectionSet.selections ?? []);
      }
    }
  };
  for (const node of fieldNodes) visit(node.selectionSet?.selections ?? []);
  return found;
}

/** As {@link listSelected}, of the fields with one name. */
export function listNamed(nodes: readonly FieldNode[], name: string): FieldNode[] {
  return nodes.filter((node) => node.name.value === name);
}
