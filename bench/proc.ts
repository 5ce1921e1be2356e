import { readdirSync, readFileSync } from 'node:fs';

// What Linux says of processes in /proc. On other systems there are none, and all figures are 0.

/** How many there are to a second of CPU time in /proc (USER_HZ, proc(5)). */
const ticksPerSecond = 100;

function listProcesses(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** A file of a process; empty if the process has ended. */
function readOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** The parent of a process, and the CPU seconds that it has used. */
export function readStat(pid: string): { readonly parent: number; readonly cpuSeconds: number } {
  const stat = readOf(pid, 'stat');
  // After the name, which may hold anything: state, parent, …; user and system time are the 12th and 13th.
  const [, parent, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (parent === undefined) return { parent: 0, cpuSeconds: 0 };
  return { parent: Number(parent), cpuSeconds: (Number(rest[9]) + Number(rest[10])) / ticksPerSecond };
}

/** The processes that one has started and that still run. */
export function listChildren(parent: number): string[] {
  return listProcesses().filter((pid) => readStat(pid).parent === parent);
}

/** Bytes of memory that a process and those that it has started hold at this moment. */
export function readResident(pid: number): number {
  const kilobytes = [String(pid), ...listChildren(pid)].map((one) => {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readOf(one, 'status'))?.[1] ?? 0);
  });
  return kilobytes.reduce((sum, one) => sum + one, 0) * 1024;
}

/** Processes of the server that work for all databases: what ours makes them write is theirs to write. */
const shared = /(walwriter|checkpointer|background writer)\s*$/;

/**
 * CPU seconds of the processes of a PostgreSQL server on this machine that work for one database, and of those that
 * work for all. The latter are only ours if nobody else uses the server.
 */
export class PostgresCpu {
  readonly #database: string;
  /** By process: a connection that has been closed leaves what it has used. */
  readonly #seconds = new Map<string, number>();

  constructor(database: string) {
    this.#database = database;
  }

  /** @returns a sum that grows; only differences of it say something */
  read(): number {
    for (const pid of listProcesses()) {
      const title = readOf(pid, 'cmdline').replaceAll('\0', ' ');
      if (!title.startsWith('postgres: ')) continue;
      if (title.includes(` ${this.#database} `) || shared.test(title)) {
        this.#seconds.set(pid, Math.max(this.#seconds.get(pid) ?? 0, readStat(pid).cpuSeconds));
      }
    }
    return [...this.#seconds.values()].reduce((sum, one) => sum + one, 0);
  }
}
