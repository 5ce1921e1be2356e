import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, findProgram, isListening } from '../proxies/find-program.ts';

/** A Redis of its own, which can be taken away. */
export interface TestRedis extends AsyncDisposable {
  readonly url: string;
  /** It answers nothing any more; connections stay open. */
  freeze(): void;
  thaw(): void;
  /** Ends it, with all of its data. */
  stop(): Promise<void>;
  /** Starts it again, empty. */
  start(): Promise<void>;
}

const path = findProgram('redis-server');
if (path === null && process.env.CI) throw new Error('redis-server is missing: CI has to install it.');

/** Whether there is a Redis on this machine. */
export const hasRedis = path !== null;

/** Starts a Redis in a process of its own, which stores nothing. */
export async function startRedis(): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-redis-'));
  const port = await findPort();
  let child: ChildProcess | null = null;
  const start = async () => {
    const options = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      folder,
    ];
    child = spawn(path ?? 'redis-server', options, { stdio: 'ignore' });
    while (!(await isListening(port))) await sleep(10);
  };
  const stop = async () => {
    if (child === null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    child = null;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    stop,
    start,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
