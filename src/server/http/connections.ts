import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { respondError, respondErrorAndClose } from '../requests/respond.ts';

/** How many requests a client may send on one connection without waiting for the responses (pipelining). */
const maxPipelined = 8;

/** Statuses of requests that Node's parser refuses, by the code of its error; all others are 400. */
const parseFailures: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers of the request are too long.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions of the request are too long.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive in time.'],
};

/**
 * Guards the connections of the HTTP server: limits pipelining, and answers in our own form what Node would answer
 * otherwise, namely malformed requests, unknown expectations and CONNECT.
 */
export function guardConnections(server: Server): void {
  const pending = new WeakMap<Duplex, number>();
  /** How many requests of each connection began in this turn of the event loop; quick ones are over before the next. */
  const begun = new Map<Duplex, number>();
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    if (begun.size === 0) setImmediate(() => begun.clear());
    begun.set(socket, (begun.get(socket) ?? 0) + 1);
    pending.set(socket, (pending.get(socket) ?? 0) + 1);
    response.once('close', () => pending.set(socket, (pending.get(socket) ?? 1) - 1));
    if (Math.max(begun.get(socket) ?? 0, pending.get(socket) ?? 0) > maxPipelined) socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, connection: Duplex) => {
    // A response that is on its way would be mixed with this one.
    if (!connection.writable || (pending.get(connection) ?? 0) > 0) return connection.destroy();
    const [status, message] = parseFailures[error.code ?? ''] ?? [400, 'The request is not valid HTTP.'];
    return respondErrorAndClose(connection, status, 'BAD_USER_INPUT', message);
  });
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('connection', 'close');
    respondError(response, 417, 'BAD_USER_INPUT', 'The only supported value of the Expect header is 100-continue.');
  });
  server.on('connect', (_request: IncomingMessage, connection: Duplex) => {
    respondErrorAndClose(connection, 405, 'BAD_USER_INPUT', 'CONNECT is not supported. Send operations with POST.');
  });
}
