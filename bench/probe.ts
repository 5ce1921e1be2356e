import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Client } from 'pg';
import { z } from 'zod';
import type { cpu, memory } from './probe-figures.ts';
import { listChildren, readStat } from './proc.ts';
import { answerCalls, type Methods } from './rpc.ts';

// Loaded with --import into a server under test, which knows nothing of it: what it costs is told over IPC.

const seconds = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6;

/** By process: one that has ended leaves what it has used. */
const secondsOfChildren = new Map<string, number>();

/** CPU seconds of the processes that this one has started, as far as they were seen, in /proc; 0 if there is no /proc. */
function sumChildren(): number {
  for (const pid of listChildren(process.pid)) {
    secondsOfChildren.set(pid, Math.max(secondsOfChildren.get(pid) ?? 0, readStat(pid).cpuSeconds));
  }
  return secondsOfChildren.values().reduce((sum, one) => sum + one, 0);
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
    const { rss, heapUsed, external } = process.memoryUsage();
    return { rss, heapUsed, external };
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
