import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, handleProtocols } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { countStatementsIn, type StatementTally } from '../../database/statements.ts';
import { inNewScope } from '../../telemetry/scope.ts';
import { readClientAddress } from '../requests/client-address.ts';
import { type AllowsOrigin, forbiddenOrigin } from '../requests/origins.ts';
import { graphqlPath, isValidHost, readPath } from '../requests/path.ts';
import { respondErrorAndClose } from '../requests/respond.ts';
import { SocketChannel, SocketClosedError } from './channel.ts';
import { createRefusalCount } from './count-refusals.ts';
import { createProtocol, type ProtocolConfig } from './protocol.ts';
import { type SocketLimits, SocketSession } from './session.ts';
import { type UnauthenticatedBounds, UnauthenticatedSockets } from './unauthenticated-sockets.ts';

const maxMessageBytes = 256 * 1024;
/** Shorter frames, such as those of tokens, are not counted one by one: the channel bounds how many of them may wait. */
const smallFrame = 16 * 1024;
const closeTimeoutMs = 1_000;
/** Service Restart: clients connect again, to another instance. */
const serviceRestart = 1012;
const restartReason = 'The server is stopping. Connect again.';
/** The time between two sockets that are closed when the server stops, in milliseconds: not all come back at once. */
const closeEveryMs = 2;
/** The part of the time, at its end, in which sockets are closed that came when it had begun. */
const lastPart = 0.25;
/** How long the last message of an operation may take to be written before its socket is closed, in milliseconds. */
const lastMessageMs = 100;

/** What the sockets are served with. */
export interface SocketsConfig extends ProtocolConfig {
  readonly allowsOrigin: AllowsOrigin;
  readonly limits: SocketLimits;
  readonly unauthenticated: UnauthenticatedBounds;
  /** How many proxies stand in front of this server; see readClientAddress. */
  readonly trustedProxies: number;
}

/** The sockets of a server. */
export interface ServedSockets {
  /** How many are open. */
  readonly size: number;
  /**
   * Closes the open ones with 1012 (clients connect again, to another instance): one after the other, each when it has no
   * open operation, and those that always have one spread over the time that is left. New ones are still served.
   * @param graceMs the time for all of it, in milliseconds
   * @param delayMs the part of it in which none is closed yet
   */
  drain(graceMs: number, delayMs: number): void;
  /** Refuses new ones. */
  refuse(): void;
  /** Refuses new ones, closes all that are left, and waits until they are closed. */
  close(): Promise<void>;
}

/** Serves GraphQL over sockets on the HTTP server, at the same path. */
export function serveSockets(server: Server, config: SocketsConfig): ServedSockets {
  // Pings are answered by the channel, within limits.
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    autoPong: false,
    handleProtocols,
  });
  const protocol = createProtocol(config);
  const unauthenticated = new UnauthenticatedSockets(config.unauthenticated);
  let closing = false;
  const sessions = new Map<WebSocket, SocketSession>();
  /** When the draining ends, by performance.now; null: it has not begun. */
  let drainsUntil: number | null = null;

  server.on('upgrade', (request: IncomingMessage, raw: Duplex, head: Buffer) => {
    const { origin, host } = request.headers;
    if (!isValidHost(host)) {
      return respondErrorAndClose(raw, 400, 'BAD_USER_INPUT', 'The Host header is missing or not valid.');
    }
    if (readPath(request) !== graphqlPath) {
      return respondErrorAndClose(raw, 404, 'NOT_FOUND', `Not found. The GraphQL endpoint is ${graphqlPath}.`);
    }
    if (!config.allowsOrigin(origin, host)) return respondErrorAndClose(raw, 403, 'FORBIDDEN', forbiddenOrigin);
    if (request.method !== 'GET' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
      return respondErrorAndClose(raw, 426, 'BAD_USER_INPUT', 'The only supported upgrade is GET with websocket.');
    }
    if (closing) return respondErrorAndClose(raw, 503, 'UNAVAILABLE', 'The server is stopping. Try again.');
    const place = unauthenticated.enter(readClientAddress(request, config.trustedProxies));
    if (place === null) {
      const message = 'Too many sockets without a valid token are open. Try again later.';
      return respondErrorAndClose(raw, 429, 'RATE_LIMITED', message);
    }
    // If the handshake fails, ws closes the connection and never calls back.
    raw.once('close', () => place[Symbol.dispose]());
    return sockets.handleUpgrade(request, raw, head, (socket) => attach(socket, raw, place));
  });
  sockets.on('wsClientError', (error, raw) => respondErrorAndClose(raw, 400, 'BAD_USER_INPUT', `${error.message}.`));

  function attach(socket: WebSocket, raw: Duplex, place: Disposable): void {
    const close = (code: number, reason: string) => channel.close(code, reason);
    const session = new SocketSession({
      limits: config.limits,
      unauthenticated: place,
      onExpiry: () => close(CloseCode.Forbidden, 'The access token has expired.'),
      onAdmitted: () => channel.trust(),
    });
    sessions.set(socket, session);
    if (drainsUntil !== null) {
      // Who came while a load balancer had not noticed: not all of them leave in the last moment.
      const leftMs = drainsUntil - performance.now();
      setTimeout(() => close(serviceRestart, restartReason), leftMs * (1 - lastPart * Math.random())).unref();
    }
    let tally: StatementTally = { count: 0, owner: null };
    let onStarted = () => {};
    let onMessage = async (_text: string): Promise<void> => {};
    const channel = new SocketChannel(socket, raw, async (text) => {
      const started = new Promise<void>((resolve) => {
        onStarted = resolve;
      });
      // Everything that the message causes runs inside, up to the last event of a subscription.
      const handle = (counting: StatementTally) => {
        tally = counting;
        return onMessage(text);
      };
      const handled = inNewScope(() => countStatementsIn(handle)).catch((error: unknown) => {
        if (error instanceof SocketClosedError) return;
        const reason = error instanceof Error ? error.message : '';
        if (/^Unexpected message of type/.test(reason)) return close(CloseCode.BadRequest, 'Unexpected message type');
        config.logger.error({ err: error }, 'failed to handle a socket message');
        return close(CloseCode.InternalServerError, 'Something went wrong.');
      });
      await Promise.race([started, handled]);
    });
    const sendCounted = async (text: string) => {
      const { owner } = session;
      if (owner === null || text.length < smallFrame) return channel.send(text);
      using _counted = config.answers.add(owner, Buffer.byteLength(text));
      await channel.send(text);
    };
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => sendCounted(text),
        close: (code = CloseCode.InternalServerError, reason = '') => close(code, reason),
        onMessage: (listener) => {
          onMessage = listener;
        },
        // graphql-ws would return the payload of the ping, which may be 256 KB long.
        onPing: () => channel.send('{"type":"pong"}'),
      },
      {
        session,
        close,
        currentTally: () => tally,
        onStarted: () => onStarted(),
        countRefusal: createRefusalCount(() => close(CloseCode.BadRequest, 'Too many invalid operations')),
      },
    );
    // ws closes the socket itself: 1009 for a message that is too long, 1002 for a malformed frame.
    socket.on('error', (error) => config.logger.debug({ err: error }, 'a socket failed'));
    socket.once('close', (code, reason) => {
      sessions.delete(socket);
      session.close();
      closed(code, String(reason)).catch((error: unknown) => {
        config.logger.error({ err: error }, 'socket cleanup failed');
      });
    });
  }

  return {
    get size() {
      return sessions.size;
    },
    refuse() {
      closing = true;
    },
    drain(graceMs, delayMs) {
      drainsUntil = performance.now() + graceMs;
      const open = [...sessions];
      for (const [index, [socket, session]] of open.entries()) {
        const close = () => socket.close(serviceRestart, restartReason);
        const leave = () => setTimeout(close, lastMessageMs).unref();
        setTimeout(() => session.whenIdle(leave), delayMs + index * closeEveryMs).unref();
        // Some subscriptions never end, and some turns take longer.
        setTimeout(close, delayMs + ((graceMs - delayMs) * (index + 1)) / open.length).unref();
      }
    },
    async close() {
      closing = true;
      const closings = [...sockets.clients].map(async (socket) => {
        const closed = new Promise((resolve) => socket.once('close', resolve));
        socket.close(serviceRestart, restartReason);
        const timer = setTimeout(() => socket.terminate(), closeTimeoutMs);
        await closed;
        clearTimeout(timer);
      });
      await Promise.all(closings);
    },
  };
}
