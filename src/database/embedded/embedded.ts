import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { FolderInUseError } from './folder-lock.ts';

/** An embedded PostgreSQL that is running. */
export interface EmbeddedPostgres {
  /** An ordinary PostgreSQL URL, good for as long as this is open. */
  readonly url: string;
  /** Ends it in order. Close what is connected to it first. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const embeddedMessage = z.discriminatedUnion('state', [
  z.object({ state: z.literal('listening'), url: z.string() }),
  z.object({ state: z.enum(['in use', 'failed']), message: z.string() }),
  z.object({ state: z.literal('closed') }),
]);

/** What the process tells of itself. */
export type EmbeddedMessage = z.infer<typeof embeddedMessage>;

/**
 * Opens the PostgreSQL (PGlite) whose data is in `<dataDir>/postgres`, and creates it if it does not exist.
 *
 * It listens on a Unix socket in a folder that only this user can enter, because it asks nobody for a password;
 * if there are no Unix sockets, on a port of the loopback interface.
 *
 * It is a process of its own, which ends with this one. In a thread of this process V8 now and then crashed: threads
 * race for what it knows of WebAssembly code (https://github.com/nodejs/node/issues/64500).
 *
 * @param onFailure told when it ends by itself: nothing can be read or written any more
 * @throws {FolderInUseError} when another process has the folder open: two at once would corrupt it
 */
export async function openEmbeddedPostgres(
  dataDir: string,
  onFailure: (error: Error) => void = () => {},
): Promise<EmbeddedPostgres> {
  const child = fork(fileURLToPath(new URL('./process.ts', import.meta.url)), [resolve(dataDir)], {
    // What Node was started with, such as --input-type or --inspect, is not meant for the database.
    execArgv: [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit');
  const url = await waitUntilListening(child);
  let closing: Promise<void> | undefined;
  child.once('exit', (code, signal) => {
    if (closing !== undefined) return;
    onFailure(new Error(`The embedded PostgreSQL ended by itself (${signal ?? `exit code ${code}`}).`));
  });
  const close = () => {
    closing ??= (async () => {
      // Once it is closed there is nothing to lose: V8 would take half a second over putting WebAssembly away.
      child.on('message', (message) => {
        if (embeddedMessage.safeParse(message).data?.state === 'closed') child.kill('SIGKILL');
      });
      if (child.connected) child.send('close');
      await exited;
    })();
    return closing;
  };
  return { url, close, [Symbol.asyncDispose]: close };
}

/** Waits for the process's first words of its own. Node's own messages come over the same channel: under --watch, what it imports. */
async function waitUntilListening(child: ChildProcess): Promise<string> {
  return new Promise((fulfil, reject) => {
    const fail = (cause: unknown) => reject(new Error('The embedded PostgreSQL did not start.', { cause }));
    const onExit = () => reject(new Error('The embedded PostgreSQL ended while it was starting.'));
    const onMessage = (message: unknown) => {
      const { data } = embeddedMessage.safeParse(message);
      if (data === undefined) return;
      child.off('message', onMessage).off('exit', onExit);
      if (data.state === 'listening') fulfil(data.url);
      else if (data.state === 'in use') reject(new FolderInUseError(data.message));
      else if (data.state === 'failed') fail(new Error(data.message));
    };
    child.on('message', onMessage).once('exit', onExit).on('error', fail);
  });
}
