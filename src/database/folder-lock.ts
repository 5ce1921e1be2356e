import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Another process holds the folder. */
export class FolderInUseError extends Error {
  override readonly name = 'FolderInUseError';
}

/**
 * Takes a folder for this process alone.
 *
 * The lock is the kernel's: SQLite, which Node carries, takes it on a file of no content. The kernel gives it up when
 * the process ends, however it ends, so there is no stale lock to judge by a pid that may be somebody else's by now;
 * and it holds between containers that share the folder, whose pids say nothing to each other.
 *
 * @param folder made when it is not there, for its owner only
 * @throws {FolderInUseError} when another process, or this one, holds it already
 */
export async function lockFolder(folder: string): Promise<{ release(): Promise<void> }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const holderPath = join(folder, 'postgres.pid');
  const lock = new DatabaseSync(join(folder, 'postgres.lock'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new FolderInUseError(
      `The data folder ${folder} is in use by another Switchboard process (${await readHolder(holderPath)}). ` +
        'Stop that one, or give this one a folder of its own with DATA_DIR, or set DATABASE_URL for both.',
    );
  }
  await writeFile(holderPath, `${process.pid}\n`);
  return {
    async release() {
      await rm(holderPath, { force: true });
      if (lock.isOpen) lock.close();
    },
  };
}

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy;
}

async function readHolder(path: string): Promise<string> {
  // Only a hint for people: the lock itself does not depend on it.
  const text = await readFile(path, 'utf8').catch(() => '');
  const pid = text.trim();
  return /^\d+$/.test(pid) ? `pid ${pid}` : 'pid unknown';
}
