import { PGlite } from '@electric-sql/pglite';
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm';
import { vector } from '@electric-sql/pglite-pgvector';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import type { EmbeddedMessage } from './embedded.ts';
import { takeEmbeddedFolder } from './folder.ts';
import { FolderInUseError } from './folder-lock.ts';
import { describeFullDisk } from './free-space.ts';
import { serializeConnections } from './serialize-connections.ts';

// A process of its own, with a data folder as its argument (embedded.ts). It reports to its parent where it listens, ends
// in order when the parent asks for it, and immediately when the parent is gone.

/** One pool, the migrator, the scripts of operators, and a test or two. */
const maxConnections = 100;

const [dataDir] = process.argv.slice(2);
if (dataDir === undefined || process.send === undefined) throw new Error('process.ts is started by embedded.ts.');

// A terminal or a supervisor signals all processes of a group, but only the parent decides when this one ends.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

const leave = () => process.exit();
process.on('disconnect', leave);
const closing = Promise.withResolvers<void>();
process.on('message', (message) => {
  if (message === 'close') closing.resolve();
  else if (message === 'ping') report({ state: 'alive' });
});

try {
  await serve(dataDir);
  report({ state: 'closed' });
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof FolderInUseError) report({ state: 'in use', message });
  else report({ state: 'failed', message: `${message.replace(/\.$/, '')}.${await describeFullDisk(dataDir)}` });
}
process.off('disconnect', leave);
if (process.connected) process.disconnect();

async function serve(folderName: string): Promise<void> {
  await using folder = await takeEmbeddedFolder(folderName, process.ppid);
  await using postgres = await PGlite.create({
    dataDir: folder.postgres,
    // The extensions that migrations and the server create have to be loaded with the database.
    extensions: { pg_trgm, vector },
    // A folder whose creation was cut off is created again, so nothing needs to be on the disk before it is finished.
    initDbStartParams: ['--no-sync', '--wal-segsize=1'],
  });
  const server = new PGLiteSocketServer({
    db: serializeConnections(postgres, (message) => void stopAfterPanic(folderName, message)),
    maxConnections,
    ...(folder.socket === null ? { host: '127.0.0.1', port: 0 } : { path: folder.socket.path }),
  });
  await server.start();
  await folder.finish();
  report({
    state: 'listening',
    url: folder.socket?.url ?? `postgresql://postgres@${server.getServerConn()}/postgres`,
  });
  await closing.promise;
  await server.stop();
}

/** Ends without writing anything more: the next start recovers from the log, as after a power cut. */
async function stopAfterPanic(folder: string, panic: string): Promise<void> {
  report({ state: 'failed', message: `${panic}.${await describeFullDisk(folder)}` });
  // The parent kills this process. If it cannot, this one has to go all the same.
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1_000);
}

function report(message: EmbeddedMessage): void {
  if (process.connected) process.send?.(message);
}
