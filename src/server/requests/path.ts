import type { IncomingMessage } from 'node:http';

/** The path of GraphQL, over HTTP and over sockets. */
export const graphqlPath = '/graphql';

/** The path of a request, without its query. */
export function readPath(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}
