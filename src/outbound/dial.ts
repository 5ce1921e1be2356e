import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import type { AddressGuard } from './address-guard.ts';

/** How long a connection may take to be established, in milliseconds. */
const connectTimeoutMs = 10_000;

/** How long an idle connection is kept for the next request, in milliseconds, unless the server says less. */
const idleMs = 30_000;

/** Chunks of a body that are read ahead. */
const chunksAhead = 16;

export interface DialOptions {
  /** Decides which addresses may be dialled, for URLs that users write. Unset: all may, for the operator's own URLs. */
  readonly guard?: AddressGuard;
  /**
   * Whether connections are kept and used again; by default true. If a kept connection turns out to be closed, the request
   * is sent once more. Set it to false for requests that must not be sent twice.
   */
  readonly keepAlive?: boolean;
  /** How long an idle connection is kept, in milliseconds, unless the server says less. By default 30,000. */
  readonly idleMs?: number;
}

type Dial = (url: URL, init: RequestInit, body: string | Uint8Array | null, retry: boolean) => Promise<Response>;

/**
 * Creates a fetch over node:http, for providers of models and speech and for tools. It follows no redirects and asks for
 * no compression. Request bodies are text or bytes; response bodies are read no faster than the caller reads them
 * (read-response.ts limits their size).
 *
 * It is our own because the fetch of Node needs more CPU time per token of a stream, cannot be given a `lookup` for each
 * request, which the guard needs, and packages that filter addresses do not pin the address that they have checked.
 *
 * Each fetch has its own connections: a guarded request never uses a connection that was made without the guard.
 * @throws {AddressRefusedError} (the promise) if the guard forbids the address; nothing was sent
 */
export function createDial(given: DialOptions = {}): typeof fetch {
  const { guard, keepAlive = true } = given;
  const options = { keepAlive, timeout: given.idleMs ?? idleMs };
  const makeAgents = () => ({ 'http:': new HttpAgent(options), 'https:': new HttpsAgent(options) });
  const ordinary = makeAgents();
  // The guard looks at addresses when a connection is made. One that may be private, because its URL is listed, must not
  // be used again for a path that is not.
  const listed = makeAgents();

  const dial: Dial = (url, init, body, retry) => {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const over = new AbortController();
    const settings = {
      method: init.method ?? 'GET',
      headers: Object.fromEntries(new Headers(init.headers)),
      ...(init.signal ? { signal: init.signal } : {}),
      // The written address is checked now, the resolved ones when the connection is made.
      ...(guard ? { lookup: guard.lookupFor(url, over.signal) } : {}),
    };
    const secure = url.protocol === 'https:';
    const agents = guard?.isListed(url) ? listed : ordinary;
    const request = secure
      ? requestHttps(url, { ...settings, agent: agents['https:'] })
      : requestHttp(url, { ...settings, agent: agents['http:'] });
    let answered = false;
    request.once('response', (incoming) => {
      answered = true;
      try {
        resolve(toResponse(incoming));
      } catch (error) {
        incoming.destroy();
        reject(error);
      }
    });
    // Nothing here speaks another protocol.
    request.once('upgrade', (_incoming, socket) => {
      socket.destroy();
      reject(new Error('The server switches to another protocol.'));
    });
    let sentAgain = false;
    request.on('error', (error) => {
      // If the server closed an idle connection just as it was used again, it has not seen the request. If the connection
      // is reset in the middle of a response, it has.
      const stale = !answered && request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      sentAgain = retry && stale && !init.signal?.aborted;
      if (sentAgain) dial(url, init, body, false).then(resolve, reject);
      else reject(error);
    });
    // Nothing can arrive any more. This has no effect after a response or an error.
    request.once('close', () => {
      // A lookup that is still running is not needed any more.
      over.abort();
      if (!sentAgain) reject(new Error('The connection closed without a response.'));
    });
    request.once('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => request.destroy(new Error('The connection timed out.')), connectTimeoutMs);
      for (const event of [secure ? 'secureConnect' : 'connect', 'close'])
        socket.once(event, () => clearTimeout(timer));
    });
    request.end(body ?? undefined);
    return promise;
  };

  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('Only http and https are dialled.');
    const body = init.body ?? null;
    if (body !== null && typeof body !== 'string' && !(body instanceof Uint8Array)) {
      throw new TypeError('Only text and bytes are sent.');
    }
    return await dial(url, init, body, true);
  };
}

function toResponse(incoming: IncomingMessage): Response {
  const status = incoming.statusCode ?? 0;
  const headers = new Headers();
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  const empty = status === 204 || status === 205 || status === 304;
  if (empty) incoming.resume();
  return new Response(empty ? null : toStream(incoming), { status, headers });
}

function toStream(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  // Events that were already queued when the reader left must not touch the stream: it would throw.
  let left = false;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        incoming.on('data', (chunk: Uint8Array) => {
          if (left) return;
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        });
        incoming.once('end', () => {
          if (!left) controller.close();
        });
        incoming.on('error', (error) => controller.error(error));
      },
      pull: () => void incoming.resume(),
      cancel: () => {
        left = true;
        incoming.destroy();
      },
    },
    { highWaterMark: chunksAhead },
  );
}
