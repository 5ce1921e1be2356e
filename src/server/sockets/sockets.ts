import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, handleProtocols } from 'graphql-ws';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { countStatementsIn, type StatementTally } from '../../database/statements.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { readPath } from '../http/http.ts';
import { isAllowedOrigin } from '../http/origins.ts';
import { graphqlPath } from '../plugins/yoga.ts';
import { createProtocol, type ProtocolConfig } from './protocol.ts';
import { type SocketLimits, SocketSession } from './session.ts';

const maxMessageBytes = 256 * 1024;
const pingEveryMs = 12_000;
const closePatienceMs = 1_000;
const goingAway = 1001;
/** What a user with too many sockets is told to wait. */
const retryAfterMs = 5_000;

/**
 * Serves GraphQL over sockets on the HTTP server, at the same path.
 * `close` tells every client to go away (1001: they come back, to another instance) and waits until they are gone.
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
    if (readPath(request) !== graphqlPath) return refuseUpgrade(raw, '404 Not Found');
    if (!isAllowedOrigin(origin, host, config.allowedOrigins)) return refuseUpgrade(raw, '403 Forbidden');
    if (closing) return refuseUpgrade(raw, '503 Service Unavailable');
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
      // All that comes of the message runs inside, up to the last event of a subscription.
      countStatementsIn((counting) => {
        tally = counting;
        return onMessage(String(data));
      }).catch((error: unknown) => {
        if (error instanceof SocketGone) return;
        const reason = error instanceof Error ? error.message : '';
        if (/^Unexpected message of type/.test(reason)) return close(CloseCode.BadRequest, 'Unexpected message type');
        config.logger.error({ err: error }, 'a socket message was not handled');
        return close(CloseCode.InternalServerError, 'Something went wrong.');
      });
    });
    // ws closes by itself: 1009 for a message that is too long, 1002 for a frame that is wrong.
    socket.on('error', (error) => config.logger.debug({ err: error }, 'a socket failed'));
    const stopPings = keepAlive(socket);
    socket.once('close', (code, reason) => {
      stopPings();
      session.close();
      closed(code, String(reason)).catch((error: unknown) => {
        config.logger.error({ err: error }, 'what a socket left was not cleared away');
      });
    });
  }

  return {
    async close() {
      closing = true;
      const gone = [...sockets.clients].map(async (socket) => {
        const left = new Promise((resolve) => socket.once('close', resolve));
        socket.close(goingAway, 'The server is going away.');
        const timer = setTimeout(() => socket.terminate(), closePatienceMs);
        await left;
        clearTimeout(timer);
      });
      await Promise.all(gone);
    },
  };
}

/** What ends the operations of a socket that can no longer be written to. */
class SocketGone extends Error {
  override readonly name = 'SocketGone';
}

/**
 * Sends a frame; resolves when it was handed to the system, so that a reader that does not read holds up its own
 * operations. Rejects when the socket is closing or closed. The frames of one tick leave in one write: with many streams
 * at once, most of the time went into one system call per token.
 */
function send(socket: WebSocket, raw: Duplex, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Were this taken for sent, a source with much to say would be read to its end for nobody, with no pause.
    if (socket.readyState !== socket.OPEN) return reject(new SocketGone());
    if (raw.writableCorked === 0) {
      raw.cork();
      setImmediate(() => raw.uncork());
    }
    return socket.send(text, (error) => (error ? reject(new SocketGone()) : resolve()));
  });
}

/** Pings; a client that has not answered by the next ping is gone. */
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

function refuseUpgrade(raw: Duplex, status: string): void {
  raw.on('error', () => {});
  raw.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
