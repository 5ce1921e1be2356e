import { access, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { lockFolder } from './folder-lock.ts';

/** The kernel's limit on the path of a Unix socket is 104 bytes on macOS and 108 on Linux, with the zero at its end. */
const maxSocketPathBytes = 100;

/** The name under which a PostgreSQL client looks for a socket in the folder that it was given as its host. */
const socketName = '.s.PGSQL.5432';

/** The file in the data folder that says in which folder the socket is. */
const socketRecordName = 'postgres.socket';

/** A data folder that only this process uses. */
export interface EmbeddedFolder extends AsyncDisposable {
  /** Where PostgreSQL keeps its files. */
  readonly postgres: string;
  /** Where it listens; null on a system without Unix sockets. */
  readonly socket: { readonly path: string; readonly url: string } | null;
  /** Call it once the database serves: until then, what a killed process leaves is created again. */
  finish(): Promise<void>;
}

/**
 * Takes a data folder for the embedded PostgreSQL, and makes the folder of its socket, which only this user can enter.
 * @param server the pid of the server that this process belongs to
 * @throws {FolderInUseError} when another process has it
 */
export async function takeEmbeddedFolder(dataDir: string, server: number): Promise<EmbeddedFolder> {
  await using undo = new AsyncDisposableStack();
  const folder = resolve(dataDir);
  const lock = await lockFolder(folder, server);
  undo.defer(() => lock.release());

  const postgres = join(folder, 'postgres');
  const unfinished = join(folder, 'postgres.unfinished');
  await beginFolder(postgres, unfinished);
  const record = join(folder, socketRecordName);
  await removeSocketFolder(record);
  const socketFolder = await makeSocketFolder();
  if (socketFolder !== null) {
    undo.defer(() => removeSocketFolder(record));
    await writeFile(record, socketFolder);
  }
  const taken = undo.move();
  return {
    postgres,
    socket: socketFolder === null ? null : { path: join(socketFolder, socketName), url: urlOfSocketIn(socketFolder) },
    finish: () => rm(unfinished, { force: true }),
    [Symbol.asyncDispose]: () => taken.disposeAsync(),
  };
}

/**
 * Finds the embedded PostgreSQL that a running server has open in a data folder: for scripts that work beside the server.
 * @returns its URL; null if it is not open, is still starting, or does not listen on a Unix socket
 */
export async function findRunningPostgres(dataDir: string): Promise<string | null> {
  const folder = await readFile(join(resolve(dataDir), socketRecordName), 'utf8').catch(() => null);
  return folder !== null && (await exists(join(folder, socketName))) ? urlOfSocketIn(folder) : null;
}

function urlOfSocketIn(folder: string): string {
  return `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`;
}

/**
 * Marks a new data folder as unfinished until it has served, and removes an unfinished one that a killed process left.
 * An unfinished folder holds no data: its database never listened.
 */
async function beginFolder(folder: string, unfinished: string): Promise<void> {
  if (await exists(unfinished)) await rm(folder, { recursive: true, force: true });
  if (!(await exists(folder))) await writeFile(unfinished, '');
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Creates a folder whose path is short enough for a socket. @returns null if no such folder can be created */
async function makeSocketFolder(): Promise<string | null> {
  if (process.platform === 'win32') return null;
  for (const parent of [tmpdir(), '/tmp']) {
    const longest = join(parent, 'switchboard-XXXXXX', socketName);
    if (Buffer.byteLength(longest) > maxSocketPathBytes) continue;
    return mkdtemp(join(parent, 'switchboard-'));
  }
  return null;
}

/** Removes the socket folder that the record names: that of this process, or one that a killed process left. */
async function removeSocketFolder(record: string): Promise<void> {
  const folder = await readFile(record, 'utf8').catch(() => null);
  if (folder === null) return;
  // Not recursively: whatever the record says, only a socket and an empty folder are removed.
  await rm(join(folder, socketName), { force: true });
  await rmdir(folder).catch(() => {});
  await rm(record, { force: true });
}
