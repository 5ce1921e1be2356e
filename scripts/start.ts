// npm start: generates what is missing, then serves, in one process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const isInstalled = existsSync(join(import.meta.dirname, '../node_modules/vite'));
// The chat page, in a process of its own: what builds it takes memory that the server does not need.
if (isInstalled && process.env.WEB !== 'false' && process.env.NODE_ENV !== 'production') {
  const script = join(import.meta.dirname, 'web.ts');
  const built = once(spawn(process.execPath, [script, '--build'], { stdio: ['ignore', 'ignore', 'inherit'] }), 'exit');
  await import('./generate.ts');
  await built;
} else await import('./generate.ts');
await import('../src/main.ts');

// npm hands a SIGTERM to the shell that it started this with, and a shell like dash dies of it without handing it on.
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid;
  const watching = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watching);
    process.kill(process.pid, 'SIGTERM');
  }, 250).unref();
}
