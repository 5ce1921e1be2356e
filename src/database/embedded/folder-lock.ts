import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { endOrphan, isAlive } from './orphan.ts';

/** Another process has the folder open. */
export class FolderInUseError extends Error {
  override readonly name = 'FolderInUseError';
}

/**
 * Locks a folder for this process alone.
 *
 * The lock is the kernel's: SQLite, which is part of Node, takes it on an empty file. The kernel releases it when the
 * process ends, however it ends, so no stale lock has to be judged by a pid that may belong to another process by now; and
 * it holds between containers that share the folder, whose pids mean nothing to each other.
 *
 * A process that was killed may still be writing for a moment, so the lock is waited for if the server that held it is
 * gone. A database process whose server is gone and that still does not end is an orphan, and is ended.
 *
 * @param folder created if it does not exist, for its owner only
 * @param server the pid of the server that this process belongs to
 * @throws {FolderInUseError} when another process, or this one, holds the lock already
 */
export async function lockFolder(folder: string, server = process.pid): Promise<{ release(): Promise<void> }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const holderPath = join(folder, 'postgres.pid');
  const lock = new DatabaseSync(join(folder, 'postgres.lock'), { timeout: 0 });
  try {
    for (let waitedMs = 0; !begin(lock); waitedMs += waitMs) {
      const holder = await readHolder(holderPath);
      if (waitedMs >= maxWaitMs || (holder !== null && isAlive(holder.server))) throw inUse(folder, holder);
      if (waitedMs === orphanAfterMs && holder !== null) await endOrphan(holder.database, folder);
      await sleep(waitMs);
    }
    await writeFile(holderPath, `${server}\n${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    async release() {
      await rm(holderPath, { force: true });
      if (lock.isOpen) lock.close();
    },
  };
}

const waitMs = 50;
/** How long a database process whose server is gone may take to end by itself, in milliseconds. */
const orphanAfterMs = 3_000;
const maxWaitMs = 10_000;

function inUse(folder: string, holder: Holder | null): FolderInUseError {
  const who =
    holder === null
      ? 'pid unknown'
      : holder.server === holder.database
        ? `pid ${holder.server}`
        : `pid ${holder.server}; its database process is pid ${holder.database}`;
  return new FolderInUseError(
    `The data folder ${folder} is in use by another Switchboard process (${who}). ` +
      'Stop that one, or give this one a folder of its own with DATA_DIR, or set DATABASE_URL for both.',
  );
}

/** @returns whether the lock was taken */
function begin(lock: DatabaseSync): boolean {
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy;
}

/** Who holds the lock, by pid. */
interface Holder {
  readonly server: number;
  /** The process that has the lock. */
  readonly database: number;
}

/** Who holds the lock. Only a hint: the lock itself does not depend on it. */
async function readHolder(path: string): Promise<Holder | null> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const [, server, database = server] = /^(\d{1,9})(?:\n(\d{1,9}))?\n?$/.exec(text) ?? [];
  return server === undefined ? null : { server: Number(server), database: Number(database) };
}
