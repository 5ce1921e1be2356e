import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';

/** How long a connection may take to come about, in milliseconds. */
const connectTimeoutMs = 10_000;

/** How long a connection is kept for the next request, in milliseconds, unless the server says less. */
const idleMs = 30_000;

/** Chunks of a body that are read ahead. */
const chunksAhead = 16;

type Dial = (url: URL, init: RequestInit, retry: boolean) => Promise<Response>;

/**
 * Creates a fetch for model providers over node:http. It follows no redirects and asks for no compression, and a
 * stream of tokens costs it less CPU time than the fetch of Node.
 */
export function createDial(): typeof fetch {
  const options = { keepAlive: true, timeout: idleMs };
  const agents = { 'http:': new HttpAgent(options), 'https:': new HttpsAgent(options) };

  const dial: Dial = (url, init, retry) => {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const settings = {
      method: init.method ?? 'GET',
      headers: Object.fromEntries(new Headers(init.headers)),
      ...(init.signal ? { signal: init.signal } : {}),
    };
    const secure = url.protocol === 'https:';
    const request = secure
      ? requestHttps(url, { ...settings, agent: agents['https:'] })
      : requestHttp(url, { ...settings, agent: agents['http:'] });
    request.once('response', (incoming) => {
      try {
        resolve(toResponse(incoming));
      } catch (error) {
        incoming.destroy();
        reject(error);
      }
    });
    request.on('error', (error) => {
      // The server closed an idle connection just as it was taken up again: the request has not been seen.
      const stale = request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      if (retry && stale && !init.signal?.aborted) dial(url, init, false).then(resolve, reject);
      else reject(error);
    });
    request.once('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => request.destroy(new Error('The connection timed out.')), connectTimeoutMs);
      for (const event of [secure ? 'secureConnect' : 'connect', 'close'])
        socket.once(event, () => clearTimeout(timer));
    });
    request.end(init.body ?? undefined);
    return promise;
  };

  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError('Only http and https are dialled.');
    if (init.body !== undefined && init.body !== null && typeof init.body !== 'string') {
      throw new TypeError('Only text is sent.');
    }
    return await dial(url, init, true);
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
  // Events that were already on their way when the reader left must not touch the stream any more: it would throw.
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
