import { once } from 'node:events';
import { access, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';
import { lockFolder } from './folder-lock.ts';

/** An embedded PostgreSQL that is running. */
export interface EmbeddedPostgres {
  /** An ordinary PostgreSQL URL, good for as long as this is open. */
  readonly url: string;
  /** Ends it in order. Close what is connected to it first. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One pool, the migrator and a test or two. */
const maxConnections = 100;

/** The kernel's limit on the path of a Unix socket is 104 bytes on macOS and 108 on Linux, with the zero at its end. */
const maxSocketPathBytes = 100;

/** The name under which a PostgreSQL client looks for a socket in the folder that it was given as its host. */
const socketName = '.s.PGSQL.5432';

/** The file in the data folder that says in which folder the socket is. */
const socketRecordName = 'postgres.socket';

/**
 * Opens the PostgreSQL (PGlite) whose data is in `<dataDir>/postgres`, and makes it where there is none.
 *
 * It listens on a Unix socket in a folder that only this user can enter, because it asks nobody for a password;
 * where there are no Unix sockets, on a port of the loopback interface.
 *
 * @param onFailure told when it ends by itself: nothing can be read or written any more
 * @throws {FolderInUseError} when another process has the folder open: two at once would corrupt it
 */
export async function openEmbeddedPostgres(
  dataDir: string,
  onFailure: (error: Error) => void = () => {},
): Promise<EmbeddedPostgres> {
  await using undo = new AsyncDisposableStack();
  const folder = join(resolve(dataDir), 'postgres');
  const lock = await lockFolder(resolve(dataDir));
  undo.defer(() => lock.release());

  const unfinished = join(resolve(dataDir), 'postgres.unfinished');
  await beginFolder(folder, unfinished);
  const socketRecord = join(resolve(dataDir), socketRecordName);
  await removeSocketFolder(socketRecord);
  const socketFolder = await makeSocketFolder();
  if (socketFolder !== null) {
    undo.defer(() => removeSocketFolder(socketRecord));
    await writeFile(socketRecord, socketFolder);
  }

  const worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
    // What Node was started with, such as --input-type or --inspect, is not meant for the database.
    execArgv: [],
    workerData: { folder, maxConnections, socketPath: socketFolder === null ? null : join(socketFolder, socketName) },
  });
  undo.defer(async () => {
    await worker.terminate();
  });
  const { listening } = await firstMessage(worker);
  let closing: Promise<void> | undefined;
  worker.on('error', (error) => onFailure(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', (code) => {
    if (closing === undefined) onFailure(new Error(`The embedded PostgreSQL ended by itself (exit code ${code}).`));
  });
  await rm(unfinished, { force: true });

  const opened = undo.move();
  const close = () => {
    closing ??= (async () => {
      if (worker.threadId !== -1) {
        const exited = once(worker, 'exit');
        worker.postMessage('close');
        await exited;
      }
      await opened.disposeAsync();
    })();
    return closing;
  };
  const url = socketFolder === null ? `postgresql://postgres@${listening}/postgres` : urlOfSocketIn(socketFolder);
  return { url, close, [Symbol.asyncDispose]: close };
}

/**
 * Where the embedded PostgreSQL of a data folder listens that another process, or this one, has open: for scripts that
 * work beside a running server.
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

const started = z.object({ listening: z.string() });

/** Waits until the worker listens. Node's own messages come over the same port: under --watch, what it imports. */
async function firstMessage(worker: Worker): Promise<z.infer<typeof started>> {
  return new Promise((fulfil, reject) => {
    const onMessage = (message: unknown) => {
      const parsed = started.safeParse(message);
      if (!parsed.success) return;
      worker.removeAllListeners();
      fulfil(parsed.data);
    };
    worker.on('message', onMessage);
    worker.once('error', (cause) => reject(new Error('The embedded PostgreSQL did not start.', { cause })));
    worker.once('exit', () => reject(new Error('The embedded PostgreSQL ended while it was starting.')));
  });
}
