import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProxy } from './buffering-proxy.ts';
import { findPort, findProgram, isListening } from './find-program.ts';

/**
 * Starts HAProxy with deploy/haproxy.cfg in front of instances. Only its port, and the way to the instances, which are
 * found by Docker's name server there, are others.
 * @param targets the URLs of the instances, without a path
 */
export async function startHaproxy(targets: readonly string[]): Promise<RunningProxy> {
  const port = await findPort();
  const servers = targets.map((target, index) => `  server instance-${index} ${new URL(target).host}`);
  const config = readFileSync(new URL('../../../deploy/haproxy.cfg', import.meta.url), 'utf8')
    // Machines that run tests do not allow as many open files.
    .replace('maxconn 10000', 'maxconn 200')
    .replace('bind :4000', `bind 127.0.0.1:${port}`)
    .replace(/^resolvers docker\n(?: .*\n)+/m, '')
    .replace(' init-addr none resolvers docker', '')
    .replace(/^ *server-template .*$/m, servers.join('\n'));
  const stopped = await run(config, port);
  return { url: `http://127.0.0.1:${port}`, ...stopped };
}

/** A balancer of connections. */
export interface TcpBalancer extends RunningProxy {
  /** Which of the instances get new connections now, in their order. */
  listUp(): Promise<boolean[]>;
}

/**
 * Starts HAProxy in TCP mode: it knows nothing of HTTP or sockets, gives each connection to another instance, and asks
 * /ready who may have new ones.
 * @param targets the URLs of the instances, which may come and go
 * @param port of its own; it takes a free one unless said
 */
export async function startTcpBalancer(targets: readonly string[], port?: number): Promise<TcpBalancer> {
  const [ownPort, statusPort] = [port ?? (await findPort()), await findPort()];
  const servers = targets.map((target, index) => `  server instance-${index} ${new URL(target).host}`);
  const config = `
global
  maxconn 400
defaults
  mode tcp
  # An instance that refuses a connection has seen nothing of it: another one gets it.
  option redispatch
  retries 3
  timeout connect 5s
  # By itself, a check has no longer than the time between two: a busy machine would have no instance left.
  timeout check 5s
  timeout client 300s
  timeout server 300s
frontend public
  bind 127.0.0.1:${ownPort}
  default_backend switchboard
backend switchboard
  balance roundrobin
  option httpchk GET /ready
  default-server check inter 500ms fall 2 rise 1
${servers.join('\n')}
frontend status
  mode http
  bind 127.0.0.1:${statusPort}
  stats enable
  stats uri /
`;
  const stopped = await run(config, ownPort);
  return {
    url: `http://127.0.0.1:${ownPort}`,
    async listUp() {
      const rows = (await (await fetch(`http://127.0.0.1:${statusPort}/;csv`)).text()).split('\n');
      const status = rows[0]?.split(',').indexOf('status') ?? -1;
      return targets.map((_, index) => {
        const row = rows.find((one) => one.startsWith(`switchboard,instance-${index},`));
        return row?.split(',')[status]?.startsWith('UP') === true;
      });
    },
    ...stopped,
  };
}

/** Runs HAProxy until it is disposed of; resolves when it listens. */
async function run(config: string, port: number): Promise<AsyncDisposable> {
  const path = findProgram('haproxy');
  if (path === null) throw new Error('haproxy is missing: install it (apt-get install haproxy).');
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-haproxy-'));
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, config);
  const child = spawn(path, ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const exited = once(child, 'exit');
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`haproxy did not start: ${said}`);
    await sleep(20);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
