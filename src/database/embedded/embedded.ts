import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { FolderInUseError } from './folder-lock.ts';
import { watchForSilence } from './watch-for-silence.ts';

/** An embedded PostgreSQL that is running. */
export interface EmbeddedPostgres {
  /** An ordinary PostgreSQL URL, valid until this is closed. */
  readonly url: string;
  /** Closes it in order, or ends it after some seconds if it does not respond. Close its connections first. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const embeddedMessage = z.discriminatedUnion('state', [
  z.object({ state: z.literal('listening'), url: z.string() }),
  z.object({ state: z.enum(['in use', 'failed']), message: z.string() }),
  z.object({ state: z.enum(['alive', 'closed']) }),
]);

/** What the process reports of itself. */
export type EmbeddedMessage = z.infer<typeof embeddedMessage>;

/** How long an opening may take, in milliseconds. A new folder takes seconds, on a busy machine a minute. */
const startTimeoutMs = 300_000;
/** How long an orderly close may take, in milliseconds. */
const closeTimeoutMs = 5_000;
/** A statement may block the process for this long, in milliseconds. */
const defaultMaxSilenceMs = 60_000;

/**
 * Opens the PostgreSQL (PGlite) whose data is in `<dataDir>/postgres`, and creates it if it does not exist.
 *
 * It listens on a Unix socket in a folder that only this user can enter, because it asks nobody for a password; on a
 * system without Unix sockets, on a port of the loopback interface.
 *
 * It is a process of its own, which ends with this one. In a thread of this process V8 crashed now and then: threads race
 * for its data about WebAssembly code (https://github.com/nodejs/node/issues/64500).
 *
 * @param onFailure called when it ends by itself, or is ended because it does not respond: nothing can be read or written
 *   any more
 * @param options.maxSilenceMs how long it may not respond before it is ended, in milliseconds
 * @throws {FolderInUseError} when another process has the folder open: two at the same time would corrupt it
 */
export async function openEmbeddedPostgres(
  dataDir: string,
  onFailure: (error: Error) => void = () => {},
  { maxSilenceMs = defaultMaxSilenceMs }: { readonly maxSilenceMs?: number } = {},
): Promise<EmbeddedPostgres> {
  const child = fork(fileURLToPath(new URL('./process.ts', import.meta.url)), [resolve(dataDir)], {
    // What Node was started with, such as --input-type or --inspect, is not meant for the database.
    execArgv: [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const kill = () => void child.kill('SIGKILL');
  // A process that is busy in a statement does not notice that its parent is gone.
  process.on('exit', kill);
  const exited = once(child, 'exit').finally(() => process.off('exit', kill));
  const url = await waitUntilListening(child);
  let closing: Promise<void> | undefined;
  /** Why it is about to end. */
  let reason: string | null = null;
  const silence = watchForSilence({
    ping: () => send(child, 'ping'),
    maxSilenceMs,
    onSilence: () => {
      reason = `it did not respond for ${maxSilenceMs / 1_000} seconds, and was ended`;
      kill();
    },
  });
  child.on('message', (message) => {
    const { data } = embeddedMessage.safeParse(message);
    if (data?.state === 'alive') silence.reset();
    // Once it is closed there is nothing to lose: V8 would take half a second to free the WebAssembly code.
    else if (data?.state === 'closed') kill();
    else if (data?.state === 'failed') {
      reason = data.message;
      kill();
    }
  });
  child.once('exit', (code, signal) => {
    silence.stop();
    if (closing !== undefined) return;
    const cause = reason ?? signal ?? `exit code ${code}`;
    onFailure(new Error(`The embedded PostgreSQL ended by itself (${cause}).`));
  });
  const close = () => {
    closing ??= (async () => {
      silence.stop();
      const timer = setTimeout(kill, closeTimeoutMs);
      send(child, 'close');
      await exited;
      clearTimeout(timer);
    })();
    return closing;
  };
  return { url, close, [Symbol.asyncDispose]: close };
}

/** Sends a message, unless the process has ended: then its exit says so. */
function send(child: ChildProcess, message: string): void {
  if (child.connected) child.send(message, () => {});
}

/**
 * Waits for the first message of the process about itself. Node's own messages use the same channel: with --watch, the
 * files that it imports.
 */
async function waitUntilListening(child: ChildProcess): Promise<string> {
  return new Promise((fulfil, reject) => {
    const fail = (cause: unknown) => reject(new Error('The embedded PostgreSQL did not start.', { cause }));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(new Error(`It took longer than ${startTimeoutMs / 1_000} seconds.`));
    }, startTimeoutMs);
    const onExit = () => {
      clearTimeout(timer);
      reject(new Error('The embedded PostgreSQL ended while it was starting.'));
    };
    const onMessage = (message: unknown) => {
      const { data } = embeddedMessage.safeParse(message);
      if (data === undefined) return;
      clearTimeout(timer);
      child.off('message', onMessage).off('exit', onExit);
      if (data.state === 'listening') fulfil(data.url);
      else if (data.state === 'in use') reject(new FolderInUseError(data.message));
      else if (data.state === 'failed') fail(new Error(data.message));
    };
    child.on('message', onMessage).once('exit', onExit).on('error', fail);
  });
}
