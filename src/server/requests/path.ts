import type { IncomingMessage } from 'node:http';

/** The path of GraphQL, over HTTP and over sockets. */
export const graphqlPath = '/graphql';

/**
 * Whether a Host header names a host, with a port or without one. Yoga builds a URL from it, and so may others.
 */
export function isValidHost(host: string | undefined): boolean {
  return host !== undefined && /^[\w.:[\]%~-]+$/.test(host) && URL.canParse(`http://${host}`);
}

/** The path of a request, without its query. */
export function readPath(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}

/** A parameter in the query of a request; null: it is absent, or stands there twice. */
export function readParameter(request: IncomingMessage, name: string): string | null {
  const values = new URLSearchParams((request.url ?? '').split('?').slice(1).join('?')).getAll(name);
  return values.length === 1 ? (values[0] ?? null) : null;
}
