import { queryFromInfo } from '@pothos/plugin-prisma';
import type { GraphQLResolveInfo } from 'graphql';
import type { Context } from './context.ts';

/**
 * What a document selects under the field that is being resolved, as Prisma's include: so that a node of the Relay
 * interface or the nodes of a connection come with what they need, in one statement.
 * @param path from the field to the rows, e.g. `['edges', 'node']`
 */
export function includeUnder(context: Context, info: GraphQLResolveInfo, typeName: string, path: string[] = []) {
  const { include } = queryFromInfo({ context, info, typeName, path });
  return include === undefined ? {} : { include };
}

/** From a connection to its rows. */
export const toNodes = ['edges', 'node'];

/**
 * A node for `node` and `nodes`: its failure is handed back as a value, so that one id of many that is not there
 * leaves the others be. Pothos has no type for that; graphql-js takes an Error in the place of any value.
 */
export function settleNode<Row>(loading: Promise<Row>): Promise<Row> {
  return loading.catch((error: unknown) => error as Row);
}
