import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

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
 * A process that was killed may still be writing its last for a moment: where the holder is gone, the lock is waited for.
 *
 * @param folder made when it is not there, for its owner only
 * @param holder the pid that others are told
 * @throws {FolderInUseError} when another process, or this one, holds it already
 */
export async function lockFolder(folder: string, holder = process.pid): Promise<{ release(): Promise<void> }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const holderPath = join(folder, 'postgres.pid');
  const lock = new DatabaseSync(join(folder, 'postgres.lock'), { timeout: 0 });
  try {
    for (let waitedMs = 0; !begin(lock); waitedMs += waitMs) {
      const pid = await readHolder(holderPath);
      if (waitedMs >= maxWaitMs || (pid !== null && isAlive(pid))) {
        throw new FolderInUseError(
          `The data folder ${folder} is in use by another Switchboard process (pid ${pid ?? 'unknown'}). ` +
            'Stop that one, or give this one a folder of its own with DATA_DIR, or set DATABASE_URL for both.',
        );
      }
      await sleep(waitMs);
    }
  } catch (error) {
    lock.close();
    throw error;
  }
  await writeFile(holderPath, `${holder}\n`);
  return {
    async release() {
      await rm(holderPath, { force: true });
      if (lock.isOpen) lock.close();
    },
  };
}

const waitMs = 50;
const maxWaitMs = 10_000;

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

/** The pid of who holds the lock. Only a hint: the lock itself does not depend on it. */
async function readHolder(path: string): Promise<number | null> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^\d{1,9}\n?$/.test(text) ? Number(text) : null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
