import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer, type Server as NetServer, type Socket } from 'node:net';

/** Connections that wait to be accepted, in each queue, as far as the system allows. */
const backlog = 512;
/** On Linux, one port can have several queues. */
const queues = process.platform === 'linux' ? 64 : 1;

/** The options of sockets that HTTP servers have. */
const asHttp = { allowHalfOpen: true, noDelay: true } as const;

/** Where a server listens. */
export interface Listening {
  readonly port: number;
  /** Accepts nothing more. Resolves when all connections are closed. */
  close(): Promise<void>;
}

/**
 * Lets an HTTP server listen, with several queues for its port (SO_REUSEPORT). libuv accepts one connection from a queue in
 * each turn of the event loop: with one queue, a burst of a thousand connections would keep everybody else out for a
 * thousand turns.
 * @param port 0: a free one
 * @throws {Error} with the code of the system, e.g. EADDRINUSE
 */
export async function listenOn(server: Server, port: number, host: string): Promise<Listening> {
  // A second server could share the port as the queues do. Without the option, it is refused.
  if (queues > 1 && port !== 0) await assertFree(port, host);
  const reusePort = queues > 1;
  const bound = await bind(server, { port, host, backlog, reusePort });
  const others: NetServer[] = [];
  const close = async () => {
    await Promise.all([server, ...others].map((one) => new Promise<void>((resolve) => one.close(() => resolve()))));
  };
  try {
    for (let queue = 1; queue < queues; queue += 1) {
      const other = createServer(asHttp, (socket: Socket) => void server.emit('connection', socket));
      others.push(other);
      await bind(other, { port: bound, host, backlog, reusePort });
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { port: bound, close };
}

async function assertFree(port: number, host: string): Promise<void> {
  const probe = createServer();
  await bind(probe, { port, host });
  probe.close();
  await once(probe, 'close');
}

/** @returns the port */
async function bind(
  server: NetServer,
  options: { readonly port: number; readonly host: string; readonly backlog?: number; readonly reusePort?: boolean },
): Promise<number> {
  server.listen(options);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no TCP port.');
  return address.port;
}
