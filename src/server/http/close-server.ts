import type { Server } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Listening } from './listen.ts';
import type { OpenResponses } from './open-responses.ts';

/** How long responses may take to be written when the server stops, in milliseconds. */
const lastAnswersMs = 3_000;

/**
 * Stops listening; responses that are being written are written to their end, within limits.
 *
 * Node closes each connection on which it has begun no request, also if one has arrived already: its client would be told of
 * a broken connection. So what has arrived is read first, in one turn of the event loop for the connections that wait to be
 * accepted, and in one more for their requests.
 */
export async function closeServer(server: Server, listening: Listening, responses: OpenResponses): Promise<void> {
  await nextTurn();
  await nextTurn();
  const closed = listening.close();
  await responses.settle(lastAnswersMs);
  server.closeAllConnections();
  await closed;
}
