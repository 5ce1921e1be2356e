import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, handleProtocols } from 'graphql-ws';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { countStatementsIn, type StatementTally } from '../../database/statements.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { isAllowedOrigin } from '../requests/origins.ts';
import { graphqlPath, readPath } from '../requests/path.ts';
import { createProtocol, type ProtocolConfig } from './protocol.ts';
import { type SocketLimits, SocketSession } from './session.ts';

const maxMessageBytes = 256 * 1024;
const pingEveryMs = 12_000;
const closeTimeoutMs = 1_000;
const goingAway = 1001;
/** What a user with too many sockets is told to wait. */
const retryAfterMs = 5_000;

/**
 * Serves GraphQL over sockets on the HTTP server, at the same path.
 * `close` closes every socket with 1001 (clients reconnect, to another instance) and waits until they are closed.
 */
export function serveSockets(
  server: Server,
  config: ProtocolConfig & {
    readonly allowedOrigins: readonly string[];
    readonly socketsPerUser: number;
    readonly socketLimit: RateLimit;
  },
): { close(): Promise<void> } {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, handleProtocols });
  const protocol = createProtocol(config);
  const limits: SocketLimits = {
    open: new ConcurrencyLimit('sockets', { user: config.socketsPerUser, tenant: null, process: null }, retryAfterMs),
    rate: config.socketLimit,
  };
  let closing = false;

  server.on('upgrade', (request: IncomingMessage, raw: Duplex, head: Buffer) => {
    const { origin, host } = request.headers;
    if (readPath(request) !== graphqlPath) return rejectUpgrade(raw, '404 Not Found');
    if (!isAllowedOrigin(origin, host, config.allowedOrigins)) return rejectUpgrade(raw, '403 Forbidden');
    if (closing) return rejectUpgrade(raw, '503 Service Unavailable');
    return sockets.handleUpgrade(request, raw, head, (socket) => attach(socket, raw));
  });

  function attach(socket: WebSocket, raw: Duplex): void {
    const close = (code: number, reason: string) => socket.close(code, reason);
    const session = new SocketSession(limits, () => close(CloseCode.Forbidden, 'The access token has expired.'));
    let tally: StatementTally = { count: 0 };
    let onMessage = async (_text: string): Promise<void> => {};
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => send(socket, raw, text),
        close: (code = CloseCode.InternalServerError, reason = '') => close(code, reason),
        onMessage: (listener) => {
          onMessage = listener;
        },
      },
      { session, close, currentTally: () => tally },
    );
    socket.on('message', (data: RawData) => {
      // Everything that the message causes runs inside, up to the last event of a subscription.
      countStatementsIn((counting) => {
        tally = counting;
        return onMessage(String(data));
      }).catch((error: unknown) => {
        if (error instanceof SocketClosedError) return;
        const reason = error instanceof Error ? error.message : '';
        if (/^Unexpected message of type/.test(reason)) return close(CloseCode.BadRequest, 'Unexpected message type');
        config.logger.error({ err: error }, 'failed to handle a socket message');
        return close(CloseCode.InternalServerError, 'Something went wrong.');
      });
    });
    // ws closes the socket itself: 1009 for a message that is too long, 1002 for a malformed frame.
    socket.on('error', (error) => config.logger.debug({ err: error }, 'a socket failed'));
    const stopPings = keepAlive(socket);
    socket.once('close', (code, reason) => {
      stopPings();
      session.close();
      closed(code, String(reason)).catch((error: unknown) => {
        config.logger.error({ err: error }, 'socket cleanup failed');
      });
    });
  }

  return {
    async close() {
      closing = true;
      const closings = [...sockets.clients].map(async (socket) => {
        const closed = new Promise((resolve) => socket.once('close', resolve));
        socket.close(goingAway, 'The server is going away.');
        const timer = setTimeout(() => socket.terminate(), closeTimeoutMs);
        await closed;
        clearTimeout(timer);
      });
      await Promise.all(closings);
    },
  };
}

/** Ends the operations of a socket that can no longer be written to. */
class SocketClosedError extends Error {
  override readonly name = 'SocketClosedError';
}

/**
 * Sends a frame. Resolves when the operating system has taken it, so that a client that does not read delays only its own
 * operations. Rejects if the socket is closing or closed. The frames of one tick leave in one write: with many streams,
 * most of the CPU time was spent on one system call per token.
 */
function send(socket: WebSocket, raw: Duplex, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // If this resolved, a long source would be read to its end for no reader, without a pause.
    if (socket.readyState !== socket.OPEN) return reject(new SocketClosedError());
    if (raw.writableCorked === 0) {
      raw.cork();
      setImmediate(() => raw.uncork());
    }
    return socket.send(text, (error) => (error ? reject(new SocketClosedError()) : resolve()));
  });
}

/** Pings the client; ends the socket if no pong arrives before the next ping. */
function keepAlive(socket: WebSocket): () => void {
  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    answered = false;
    return socket.ping();
  }, pingEveryMs).unref();
  return () => clearInterval(timer);
}

function rejectUpgrade(raw: Duplex, status: string): void {
  raw.on('error', () => {});
  raw.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
