import { once } from 'node:events';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import type { EmbeddedMessage } from './embedded.ts';
import { takeEmbeddedFolder } from './folder.ts';
import { FolderInUseError } from './folder-lock.ts';
import { keepSequencesWhole } from './serialize-connections.ts';

// A process of its own, with a data folder as its argument: see embedded.ts. It tells its parent where it listens, ends in
// order when the parent says so, and immediately when the parent is gone.

/** One pool, the migrator, operators' scripts and a test or two. */
const maxConnections = 100;

const [dataDir] = process.argv.slice(2);
if (dataDir === undefined || process.send === undefined)
  throw new Error('embedded-process.ts is started by embedded.ts.');

// A terminal, or a supervisor, signals all processes of a group: when this one ends is the parent's to say.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

const leave = () => process.exit();
process.on('disconnect', leave);
const asked = once(process, 'message');

try {
  await serve(dataDir);
  tell({ state: 'closed' });
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  tell(error instanceof FolderInUseError ? { state: 'in use', message } : { state: 'failed', message });
}
process.off('disconnect', leave);
if (process.connected) process.disconnect();

async function serve(folderName: string): Promise<void> {
  await using folder = await takeEmbeddedFolder(folderName, process.ppid);
  await using postgres = await PGlite.create({
    dataDir: folder.postgres,
    // A folder that was cut off while it was made is made anew, so nothing needs to reach the disk on the way.
    initDbStartParams: ['--no-sync', '--wal-segsize=1'],
  });
  const server = new PGLiteSocketServer({
    db: keepSequencesWhole(postgres),
    maxConnections,
    ...(folder.socket === null ? { host: '127.0.0.1', port: 0 } : { path: folder.socket.path }),
  });
  await server.start();
  await folder.finish();
  tell({ state: 'listening', url: folder.socket?.url ?? `postgresql://postgres@${server.getServerConn()}/postgres` });
  await asked;
  await server.stop();
}

function tell(message: EmbeddedMessage): void {
  if (process.connected) process.send?.(message);
}
