import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';

/** A request that a receiver got. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at: number;
}

/** A receiver of webhooks on a free port of this machine. */
export interface Receiver extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly received: Received[];
  /** How it answers; by default with 204. */
  answer: (response: ServerResponse, received: Received) => void;
  /** Resolves when so many requests have arrived. */
  waitFor(count: number): Promise<readonly Received[]>;
}

/** Opens a receiver. */
export async function openReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  let notify = Promise.withResolvers<void>();
  const receiver = {
    answer: (response: ServerResponse) => void response.writeHead(204).end(),
  } as Pick<Receiver, 'answer'>;
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const got = { path: request.url ?? '', headers: request.headers, body, at: Date.now() };
      received.push(got);
      notify.resolve();
      notify = Promise.withResolvers();
      receiver.answer(response, got);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The receiver has no port.');
  return Object.assign(receiver, {
    url: `http://127.0.0.1:${address.port}`,
    received,
    async waitFor(count: number) {
      while (received.length < count) await notify.promise;
      return received;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** Checks the signature of a request as receivers do. @throws if it is wrong */
export function verify(secret: string, { body, headers }: Received): unknown {
  const texts = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  return new Webhook(secret).verify(body, texts);
}
