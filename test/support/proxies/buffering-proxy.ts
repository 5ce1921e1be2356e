import { once } from 'node:events';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A proxy in front of a server. */
export interface RunningProxy extends AsyncDisposable {
  /** Its URL, without a path. */
  readonly url: string;
}

/**
 * Starts a proxy as nginx is by default: it forwards a response when it has all of it or 64 KB, unless the response says
 * X-Accel-Buffering: no. It compresses nothing.
 */
export async function startBufferingProxy(target: string): Promise<RunningProxy> {
  const proxy = createServer((incoming, outgoing) => {
    const upstream = sendRequest(`${target}${incoming.url}`, { method: incoming.method, headers: incoming.headers });
    incoming.pipe(upstream);
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => upstream.destroy());
    upstream.on('response', (response) => {
      const { 'x-accel-buffering': buffering, ...headers } = response.headers;
      const chunks: Buffer[] = [];
      let size = 0;
      const forward = () => {
        if (!outgoing.headersSent) outgoing.writeHead(response.statusCode ?? 502, headers);
        for (const chunk of chunks.splice(0)) outgoing.write(chunk);
        size = 0;
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (buffering === 'no' || size > 64 * 1024) forward();
      });
      response.on('end', () => {
        forward();
        outgoing.end();
      });
    });
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}
