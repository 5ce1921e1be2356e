import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import { z } from 'zod';
import { keepSequencesWhole } from './protocol-order.ts';

// Runs in a worker thread: PGlite computes on the thread that calls it, and here that holds up nobody else.

const input = z
  .object({ folder: z.string(), socketPath: z.string().nullable(), maxConnections: z.number().int() })
  .parse(workerData);

if (parentPort === null) throw new Error('embedded-worker.ts runs as a worker thread.');
const port = parentPort;

const postgres = await PGlite.create({
  dataDir: input.folder,
  // A folder that was cut off while it was made is made anew, so nothing needs to reach the disk on the way.
  initDbStartParams: ['--no-sync', '--wal-segsize=1'],
});
const server = new PGLiteSocketServer({
  db: keepSequencesWhole(postgres),
  maxConnections: input.maxConnections,
  ...(input.socketPath === null ? { host: '127.0.0.1', port: 0 } : { path: input.socketPath }),
});
await server.start();

port.once('message', async () => {
  await server.stop();
  await postgres.close();
  port.close();
});
port.postMessage({ listening: server.getServerConn() });
