import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningProxy, startBufferingProxy } from './buffering-proxy.ts';
import { findPort, findProgram, isListening } from './find-program.ts';

/**
 * Starts a plain nginx in front of a server: its configuration says `proxy_pass` and nothing else. On a machine without
 * nginx, a proxy of ours that buffers alike stands in; in CI that is an error.
 * @param target the URL of the server, without a path
 */
export async function startNginx(target: string): Promise<RunningProxy> {
  const path = findProgram('nginx');
  if (path !== null) return await spawnNginx(path, target);
  if (process.env.CI) throw new Error('nginx is missing: CI has to install it (nginx-light).');
  return await startBufferingProxy(target);
}

async function spawnNginx(path: string, target: string): Promise<RunningProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-nginx-'));
  const port = await findPort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const configuration = `
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    daemon off;
    master_process off;
    pid ${folder}/nginx.pid;
    error_log ${folder}/error.log;
    events { worker_connections 128; }
    http {
      access_log off;
      ${temporary.join(' ')}
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass ${target}; }
      }
    }`;
  await writeFile(join(folder, 'nginx.conf'), configuration);
  const child = spawn(path, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const exited = once(child, 'exit');
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`nginx did not start: ${said}`);
    await sleep(20);
  }
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
