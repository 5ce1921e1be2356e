import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { compileCache } from './compile-cache.ts';

const root = join(import.meta.dirname, '../..');
const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/**
 * Starts what `npm start` starts, in an empty folder and with nothing configured but a free port.
 * @param env further variables
 * @returns the address that it prints
 */
export async function startAsItsUser(
  resources: AsyncDisposableStack,
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { PATH, HOME } = process.env;
  const server = spawn(process.execPath, [join(root, 'scripts/start.ts')], {
    cwd: folder,
    env: {
      PATH,
      HOME,
      NODE_COMPILE_CACHE: compileCache,
      PORT: '0',
      LOG_LEVEL: 'warn',
      ATTACHMENT_FETCH: 'false',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  resources.defer(() => stop(server));
  return await new Promise<string>((resolve, reject) => {
    let printed = '';
    const read = (chunk: unknown) => {
      printed += String(chunk);
      const [address] = /http:\/\/\S+\/graphql/.exec(printed) ?? [];
      if (address !== undefined) resolve(address);
    };
    server.stdout.on('data', read);
    server.stderr.on('data', read);
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`The server ended with ${code}: ${printed}`)));
  });
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  await ended;
}

/**
 * Launches a Chromium that asks no other host for anything of its own.
 * @param args further flags
 */
export async function launchBrowser(resources: AsyncDisposableStack, args: readonly string[] = []): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  });
  resources.defer(() => browser.close());
  return browser;
}
