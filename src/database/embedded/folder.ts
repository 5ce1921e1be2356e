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

/** A data folder that is this process's alone. */
export interface EmbeddedFolder extends AsyncDisposable {
  /** Where PostgreSQL keeps its files. */
  readonly postgres: string;
  /** The address to listen on; null if there are no Unix sockets. */
  readonly socket: { readonly path: string; readonly url: string } | null;
  /** To be called once it serves: until then, whatever a killed process leaves is made anew. */
  finish(): Promise<void>;
}

/**
 * Takes a data folder for the embedded PostgreSQL, and makes the folder of its socket, which only this user can enter.
 * @param holder the pid that others are told
 * @throws {FolderInUseError} when somebody else has it
 */
export async function takeEmbeddedFolder(dataDir: string, holder: number): Promise<EmbeddedFolder> {
  await using undo = new AsyncDisposableStack();
  const folder = resolve(dataDir);
  const lock = await lockFolder(folder, holder);
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
 * Where the embedded PostgreSQL of a data folder listens that somebody has open: for scripts that work beside a running
 * server.
 * @returns its URL; null where it is not open, has not come up yet, or listens on no Unix socket
 */
export async function findRunningPostgres(dataDir: string): Promise<string | null> {
  const folder = await readFile(join(resolve(dataDir), socketRecordName), 'utf8').catch(() => null);
  return folder !== null && (await exists(join(folder, socketName))) ? urlOfSocketIn(folder) : null;
}

function urlOfSocketIn(folder: string): string {
  return `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`;
}

/**
 * Marks a new data folder as unfinished until it has served; removes one that a killed process left half made.
 * Nobody can have stored anything in an unfinished one: it never listened.
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

/** A new folder whose path is short enough for a socket, or null where no such folder can be had. */
async function makeSocketFolder(): Promise<string | null> {
  if (process.platform === 'win32') return null;
  for (const parent of [tmpdir(), '/tmp']) {
    const longest = join(parent, 'switchboard-XXXXXX', socketName);
    if (Buffer.byteLength(longest) > maxSocketPathBytes) continue;
    return mkdtemp(join(parent, 'switchboard-'));
  }
  return null;
}

/** Removes the socket folder that the record names: this process's own, or one that a killed process left. */
async function removeSocketFolder(record: string): Promise<void> {
  const folder = await readFile(record, 'utf8').catch(() => null);
  if (folder === null) return;
  // Not recursively: whatever the record says, only a socket and an empty folder can go.
  await rm(join(folder, socketName), { force: true });
  await rmdir(folder).catch(() => {});
  await rm(record, { force: true });
}
