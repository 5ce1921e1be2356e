import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { getDefaultEnvironment } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import spawn from 'cross-spawn';
import type { McpAddress } from './config.ts';
import { MessageLines } from './lines.ts';

type ProcessAddress = Extract<McpAddress, { kind: 'stdio' }>;

/** How long a process may take to end after the end of its input, after SIGTERM, and after SIGKILL. */
const graceMs = { endOfInput: 2_000, asked: 1_000, killed: 1_000 } as const;
const isWindows = process.platform === 'win32';

/** The process groups that are running, by the id of their leader: none outlives this process. */
const running = new Set<number>();

/**
 * The transport to an MCP server that is a process, which it starts as the leader of a process group of its own. (The
 * SDK's StdioClientTransport ends only the process that it has started: if that is a shell or npx, the server lives on.
 * It also ends the connection at a line that is too long.)
 */
export class ProcessGroupTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #address: ProcessAddress;
  readonly #lines: MessageLines;
  readonly #onErrorOutput: (chunk: Uint8Array) => void;
  readonly #ended = Promise.withResolvers<true>();
  #child: { readonly pid: number; readonly stdin: Writable; readonly outputs: readonly Readable[] } | null = null;
  #closing: Promise<void> | null = null;

  /**
   * @param maxAnswerBytes the most bytes of the answer to a call
   * @param onErrorOutput is called with what the process writes to its standard error
   */
  constructor(address: ProcessAddress, maxAnswerBytes: number, onErrorOutput: (chunk: Uint8Array) => void) {
    this.#address = address;
    this.#lines = new MessageLines(maxAnswerBytes);
    this.#onErrorOutput = onErrorOutput;
  }

  /** @throws {Error} with a code such as ENOENT if the process cannot be started */
  async start(): Promise<void> {
    const { command, args, env, cwd } = this.#address;
    const child = spawn(command, args, {
      env: { ...getDefaultEnvironment(), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      // On Windows that would open a console window, and there are no process groups.
      detached: !isWindows,
      windowsHide: true,
      ...(cwd === null ? {} : { cwd }),
    });
    const { pid, stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) throw new Error('The process has no pipes.');
    const fail = (error: Error) => this.onerror?.(error);
    for (const stream of [stdin, stdout, stderr]) stream.on('error', fail);
    stdout.on('data', (chunk: Buffer) => this.#read(chunk));
    stderr.on('data', this.#onErrorOutput);
    child.once('close', () => {
      // Processes that it has started and left behind, with pipes of their own.
      if (pid !== undefined) endGroup(pid);
      this.#ended.resolve(true);
      this.onclose?.();
    });
    if (pid !== undefined) {
      this.#child = { pid, stdin, outputs: [stdout, stderr] };
      trackGroup(pid);
    }
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.on('error', (error) => {
        reject(error);
        fail(error);
      });
    });
  }

  /** @throws {Error} if the process has closed its input */
  send(message: JSONRPCMessage): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#child === null) reject(new Error('The process was not started.'));
    else {
      this.#lines.noteSent(message);
      this.#child.stdin.write(`${JSON.stringify(message)}\n`, (error) => (error ? reject(error) : resolve()));
    }
    return promise;
  }

  /** Ends its input, then asks it to end, then kills it: each step if the one before did not end it in time. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    if (this.#child === null) return;
    const { pid, stdin, outputs } = this.#child;
    stdin.end();
    if (await this.#endsWithin(graceMs.endOfInput)) return;
    signalGroup(pid, 'SIGTERM');
    if (await this.#endsWithin(graceMs.asked)) return;
    signalGroup(pid, 'SIGKILL');
    if (await this.#endsWithin(graceMs.killed)) return;
    // A process that has left the group still holds the pipes.
    for (const output of outputs) output.destroy();
    await this.#endsWithin(graceMs.killed);
  }

  #endsWithin(ms: number): Promise<boolean> {
    return Promise.race([this.#ended.promise, sleep(ms, false, { ref: false })]);
  }

  #read(chunk: Buffer): void {
    this.#lines.append(chunk);
    for (;;) {
      try {
        const message = this.#lines.readMessage();
        if (message === null) return;
        this.onmessage?.(message);
      } catch (error) {
        this.onerror?.(
          error instanceof Error ? error : new Error('The process has written a line that is not a message.'),
        );
      }
    }
  }
}

function trackGroup(pid: number): void {
  if (running.size === 0) process.on('exit', killAll);
  running.add(pid);
}

function endGroup(pid: number): void {
  signalGroup(pid, 'SIGKILL');
  running.delete(pid);
  if (running.size === 0) process.off('exit', killAll);
}

function killAll(): void {
  for (const pid of running) signalGroup(pid, 'SIGKILL');
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  // Without process groups, taskkill ends the process and those that it has started; it cannot ask them to end.
  if (isWindows) return void spawn.sync('taskkill', ['/pid', String(pid), '/t', '/f'], { windowsHide: true });
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has no process left.
  }
}
