import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Harness, Report } from '../harness.ts';
import { median } from '../statistics.ts';

const root = join(import.meta.dirname, '../..');

/** `npm start` to the first good answer of /ready, on a new data folder and on the same one again. */
export async function measureStart(harness: Harness): Promise<Report> {
  const rounds = harness.quick ? 1 : 3;
  const fresh: number[] = [];
  const again: number[] = [];
  for (let count = 0; count < rounds; count++) {
    const dataDir = await mkdtemp(join(tmpdir(), 'switchboard-bench-'));
    try {
      fresh.push(await timeStart(dataDir));
      again.push(await timeStart(dataDir));
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  }
  return {
    title: 'start: npm start to serving, out of the box',
    columns: ['', 'median ms'],
    rows: [
      ['new .data', median(fresh).toFixed(0)],
      ['existing .data', median(again).toFixed(0)],
    ],
    notes: [`${rounds} of each. npm itself is part of it.`],
  };
}

/** Milliseconds; the server is stopped again, in order. */
async function timeStart(dataDir: string): Promise<number> {
  const startedAt = performance.now();
  const { PATH = '' } = process.env;
  const npm = spawn('npm', ['start', '--silent'], {
    cwd: root,
    env: { PATH, DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own: npm does not hand signals on.
    detached: true,
  });
  // Not 'exit': the server may be at its end still when npm is, and then it holds the pipe.
  const exited = once(npm, 'close');
  try {
    const url = await readUrl(npm.stdout);
    const ready = await fetch(`${url}/ready`);
    if (!ready.ok) throw new Error(`It serves and is not ready: ${ready.status}`);
    return performance.now() - startedAt;
  } finally {
    if (npm.pid !== undefined && npm.exitCode === null) process.kill(-npm.pid, 'SIGTERM');
    await exited;
  }
}

function readUrl(output: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    output.on('data', (chunk) => {
      text += String(chunk);
      const url = /"url":"([^"]+)".*"listening"/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    });
    output.on('end', () => reject(new Error(`It did not start:\n${text}`)));
  });
}
