import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStat } from '../proc.ts';

/** A Redis of the harness's own, which stores nothing on the disk. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  /** CPU seconds that it has used. */
  readCpu(): number;
}

/** Starts redis-server on a free port. @throws when it is not installed, or does not start */
export async function startRedis(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-redis-'));
  const port = await findPort();
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
    { stdio: 'ignore' },
  );
  // Also after an error that nobody has expected, it may not stay.
  const kill = () => void child.kill('SIGKILL');
  process.on('exit', kill);
  const exited = once(child, 'exit').catch((cause: unknown) => {
    throw new Error('redis-server is missing: install it (apt-get install redis-server).', { cause });
  });
  const ended = exited.then(() => {
    throw new Error(`redis-server has exited (code ${child.exitCode}).`);
  });
  const answers = async () => {
    while (child.pid !== undefined && child.exitCode === null && !(await isListening(port))) await sleep(20);
  };
  await Promise.race([ended, answers().then(() => (child.pid === undefined ? ended : undefined))]);
  return {
    url: `redis://127.0.0.1:${port}`,
    readCpu: () => readStat(String(child.pid)).cpuSeconds,
    async [Symbol.asyncDispose]() {
      kill();
      await exited.catch(() => {});
      process.off('exit', kill);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function findPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('It listens on no port.');
  server.close();
  await once(server, 'close');
  return address.port;
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  const is = await promise;
  socket.destroy();
  return is;
}
