import { readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Client } from 'pg';
import { z } from 'zod';
import type { cpu, memory } from './probe-figures.ts';
import { answerCalls, type Methods } from './rpc.ts';

// Loaded with --import into a server under test, which knows nothing of it: what it costs is told over IPC.

const seconds = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;

/** How many there are to a second of CPU time in /proc (USER_HZ, proc(5)). */
const ticksPerSecond = 100;

/** CPU seconds of the processes that this one has started and that still run, in /proc; 0 if there is no /proc. */
function sumChildren(): number {
  let ticks = 0;
  for (const pid of listProcesses()) {
    const stat = readStat(pid);
    // After the name, which may hold anything: state, parent, …; user and system time are the 12th and 13th.
    const [, parent, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(parent) === process.pid) ticks += Number(rest[9]) + Number(rest[10]);
  }
  return ticks / ticksPerSecond;
}

function listProcesses(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function readStat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return '';
  }
}

let statements: string[] | null = null;

/** Notes the SQL of every statement that leaves this process through pg, BEGIN and COMMIT included. */
function watchStatements(): void {
  const send = Client.prototype.query;
  const sqlOf = z.union([z.string(), z.object({ text: z.string() }).transform(({ text }) => text)]);
  Reflect.set(Client.prototype, 'query', function query(this: Client, ...args: unknown[]): unknown {
    const sql = statements === null ? null : sqlOf.safeParse(args[0]);
    if (sql?.success) statements?.push(sql.data);
    return Reflect.apply(send, this, args);
  });
}

const methods: Methods = {
  cpu: (): z.infer<typeof cpu> => ({
    process: seconds(process.cpuUsage()) + sumChildren(),
    mainThread: seconds(process.threadCpuUsage()),
  }),
  memory: (): z.infer<typeof memory> => {
    setFlagsFromString('--expose-gc');
    z.custom<() => void>((gc) => typeof gc === 'function').parse(runInNewContext('gc'))();
    const { rss, heapUsed } = process.memoryUsage();
    return { rss, heapUsed };
  },
  /** Begins a list of statements, and returns the one before. */
  statements: (): string[] => {
    const noted = statements ?? [];
    statements = [];
    return noted;
  },
};

// Before the first connection: the pool wraps the method of each when it is made.
watchStatements();
answerCalls(methods);
// The server ends when it wants to, not when the bench lets go of it.
process.channel?.unref();
