import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Ends the database process that has a folder open, if its server is gone.
 *
 * A pid may belong to another process by now, so the process is ended only if its command line says that it is the
 * database process of this very folder. Systems without /proc do not tell: nothing is ended there.
 *
 * @param pid of the database process
 */
export async function endOrphan(pid: number, folder: string): Promise<void> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const args = commandLine.split('\0');
  const isDatabase = args.some((arg) => arg.endsWith(join('database', 'embedded', 'process.ts')));
  if (isDatabase && args.includes(folder)) process.kill(pid, 'SIGKILL');
}

/** Whether a process runs. One that has ended and that its parent has not waited for yet does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    // It exists, and belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Systems without /proc do not tell. The state follows the name, which is in parentheses: proc_pid_stat(5). */
function isZombie(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
