import { queryFromInfo } from '@pothos/plugin-prisma';
import type { GraphQLResolveInfo } from 'graphql';
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
