import type { Connection } from '../api/paging.ts';
import { list, object, type PlainType, text, value } from './projection.ts';

/** A page whose number of all items is known, or not asked for. */
export interface CountedConnection<Node> extends Omit<Connection<Node>, 'totalCount'> {
  readonly totalCount: number | null;
}

const pageInfo: PlainType<Connection<unknown>['pageInfo']> = {
  name: 'PageInfo',
  fields: {
    hasNextPage: value((info) => info.hasNextPage),
    hasPreviousPage: value((info) => info.hasPreviousPage),
    startCursor: text((info) => info.startCursor),
    endCursor: text((info) => info.endCursor),
  },
};

/**
 * The connection type of a list, as rows hold it.
 * @param name of the nodes’ type, with which those of the connection and its edges begin
 */
export function plainConnection<Node>(name: string, node: PlainType<Node>): PlainType<CountedConnection<Node>> {
  const edge: PlainType<Connection<Node>['edges'][number]> = {
    name: `${name}Edge`,
    fields: { cursor: text((of) => of.cursor), node: object(node, (of) => of.node) },
  };
  return {
    name: `${name}Connection`,
    fields: {
      edges: list(edge, (connection) => connection.edges),
      pageInfo: object(pageInfo, (connection) => connection.pageInfo),
      totalCount: value((connection) => connection.totalCount),
    },
  };
}
