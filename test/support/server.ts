import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { createClient } from 'graphql-ws';
import { inject } from 'vitest';
import { WebSocket } from 'ws';
import { mintDevelopmentToken } from '../../src/auth/development.ts';
import { readAnswer, type TestApp } from './app.ts';
import { compileCache } from './compile-cache.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

/** A server in a process of its own. */
export interface Server extends Pick<TestApp, 'url' | 'ws' | 'query' | 'token'>, AsyncDisposable {
  readonly pid: number | undefined;
  /** What it has written to standard output and standard error. */
  said(): string;
  /** The exit code when it has ended; null where a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Sends a signal and waits for the end. @returns the exit code; null where the signal ended it */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** A process that becomes a server. */
export interface SpawnedServer {
  readonly process: ChildProcessByStdio<null, Readable, Readable>;
  readonly exited: Promise<unknown>;
}

/** The limits that are on by default are off, unless a test is about them. */
const noLimits = {
  RATE_LIMIT_TURNS: '0',
  RATE_LIMIT_MUTATIONS: '0',
  RATE_LIMIT_ANSWER_BYTES: '0',
  MAX_TURNS_PER_USER: '0',
  MAX_TURNS_PER_TENANT: '0',
  // Names of files in tests are not looked up.
  ATTACHMENT_FETCH: 'false',
};

/** Starts a server on a data folder, and does not wait for it. */
export function spawnServer(folder: string, env: Record<string, string>): SpawnedServer {
  const child = spawn(process.execPath, [main], {
    // Not the working folder of the tests: there may be a .env.
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: compileCache,
      DATA_DIR: folder,
      PORT: '0',
      SEED_FILE: inject('plainSeedFile'),
      ...noLimits,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // What nobody reads stops the writer in the end.
  child.stdout.resume();
  child.stderr.resume();
  return { process: child, exited: once(child, 'exit') };
}

/** Starts a server on a data folder; answers when it serves. It is killed when it is disposed of. */
export async function startServer(folder: string, env: Record<string, string>): Promise<Server> {
  const { process: child, exited } = spawnServer(folder, env);
  let said = '';
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      said += chunk;
      const [, found] = /Switchboard +(\S+)\/graphql/.exec(said) ?? [];
      if (found) resolve(found);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    exited.then(() => reject(new Error(`It did not start: ${said}`)), reject);
  });
  const end: Server['end'] = async (signal) => {
    child.kill(signal);
    await exited;
    return child.exitCode;
  };
  return {
    url,
    pid: child.pid,
    said: () => said,
    exited: exited.then(() => child.exitCode),
    token: ({ sub = 'alice', tenant = 'acme', roles = [], ttl = 3600 } = {}) =>
      mintDevelopmentToken(folder, { sub, tenant, roles, ttlSeconds: ttl }),
    ws: (bearer, options = {}) =>
      createClient({
        url: `${url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        retryAttempts: 0,
        connectionParams: { authorization: `Bearer ${bearer}` },
        ...options,
      }),
    async query(query, variables, { token } = {}) {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
      const body = JSON.stringify({ query, variables });
      return readAnswer(await fetch(`${url}/graphql`, { method: 'POST', headers, body }));
    },
    end,
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
    },
  };
}
