import type { IncomingMessage } from 'node:http';

/** The path of a request, without its query. Whatever a client writes there, it is read: `//` is no URL. */
export function readPath(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}
