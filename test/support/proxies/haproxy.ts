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
  const path = findProgram('haproxy');
  if (path === null) throw new Error('haproxy is missing: install it (apt-get install haproxy).');
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-haproxy-'));
  const port = await findPort();
  const servers = targets.map((target, index) => `  server instance-${index} ${new URL(target).host}`);
  const file = join(folder, 'haproxy.cfg');
  await writeFile(
    file,
    readFileSync(new URL('../../../deploy/haproxy.cfg', import.meta.url), 'utf8')
      // Machines that run tests do not allow as many open files.
      .replace('maxconn 10000', 'maxconn 200')
      .replace('bind :4000', `bind 127.0.0.1:${port}`)
      .replace(/^resolvers docker\n(?: .*\n)+/m, '')
      .replace(' init-addr none resolvers docker', '')
      .replace(/^ *server-template .*$/m, servers.join('\n')),
  );
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
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
