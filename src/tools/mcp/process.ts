import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { getDefaultEnvironment, StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import type { McpAddress } from './config.ts';
import { MessageLines } from './lines.ts';

type ProcessAddress = Extract<McpAddress, { kind: 'stdio' }>;

/** How long a process may take to end by itself when its input has ended, and then when it was asked to. */
const graceMs = { endOfInput: 2_000, asked: 1_000, killed: 1_000 } as const;

/** The groups of processes that are running: none outlives this process, however it ends. */
const running = new Set<number>();

/**
 * The transport to an MCP server that is a process, which is started with it.
 * @param maxAnswerBytes the most bytes of the answer to a call
 * @param onSaid is told what it writes to its error output
 */
export function createStdioTransport(
  address: ProcessAddress,
  maxAnswerBytes: number,
  onSaid: (chunk: Uint8Array) => void,
): Transport {
  const lines = new MessageLines(maxAnswerBytes);
  if (process.platform !== 'win32') return new ProcessGroupTransport(address, lines, onSaid);
  // There the SDK's knows how commands are found, and there are no groups of processes.
  const { command, args, env, cwd } = address;
  const place = cwd === null ? {} : { cwd };
  const transport = new StdioClientTransport({ command, args: [...args], env: { ...env }, ...place, stderr: 'pipe' });
  // The SDK's own ends the process over a line that is too long, and copies what it has with each piece that comes.
  Object.assign(transport, { _readBuffer: lines });
  transport.stderr?.on('data', onSaid);
  const send = transport.send.bind(transport);
  transport.send = (message) => {
    lines.noteSent(message);
    return send(message);
  };
  // Whoever closes it while it is being closed waits until the process has ended as well.
  const close = transport.close.bind(transport);
  let closing: Promise<void> | null = null;
  transport.close = () => {
    closing ??= close();
    return closing;
  };
  return transport;
}

/**
 * A process that leads a group of its own. The SDK's ends the one process that it has started: where that is a shell or
 * npx, the server itself would live on.
 */
class ProcessGroupTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly #address: ProcessAddress;
  readonly #lines: MessageLines;
  readonly #onSaid: (chunk: Uint8Array) => void;
  readonly #ended = Promise.withResolvers<true>();
  #child: { readonly pid: number; readonly stdin: Writable; readonly outputs: readonly Readable[] } | null = null;
  #closing: Promise<void> | null = null;

  constructor(address: ProcessAddress, lines: MessageLines, onSaid: (chunk: Uint8Array) => void) {
    this.#address = address;
    this.#lines = lines;
    this.#onSaid = onSaid;
  }

  /** @throws {Error} with a code such as ENOENT where it cannot be started */
  async start(): Promise<void> {
    const { command, args, env, cwd } = this.#address;
    const child = spawn(command, args, {
      env: { ...getDefaultEnvironment(), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      ...(cwd === null ? {} : { cwd }),
    });
    const { pid, stdin, stdout, stderr } = child;
    const fail = (error: Error) => this.onerror?.(error);
    for (const stream of [stdin, stdout, stderr]) stream.on('error', fail);
    stdout.on('data', (chunk: Buffer) => this.#read(chunk));
    stderr.on('data', this.#onSaid);
    child.once('close', () => {
      // What it has started and left behind, with pipes of its own.
      if (pid !== undefined) endGroup(pid);
      this.#ended.resolve(true);
      this.onclose?.();
    });
    if (pid !== undefined) {
      this.#child = { pid, stdin, outputs: [stdout, stderr] };
      keepGroup(pid);
    }
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.on('error', (error) => {
        reject(error);
        fail(error);
      });
    });
  }

  /** @throws {Error} when the process does not take it any more */
  send(message: JSONRPCMessage): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#child === null) reject(new Error('The process was not started.'));
    else {
      this.#lines.noteSent(message);
      this.#child.stdin.write(`${JSON.stringify(message)}\n`, (error) => (error ? reject(error) : resolve()));
    }
    return promise;
  }

  /** Ends its input, asks it to end, kills it: each where the one before did not help in time. */
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
    // Somebody who has left the group holds its pipes.
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
        this.onerror?.(error instanceof Error ? error : new Error('A line is no message.'));
      }
    }
  }
}

function keepGroup(pid: number): void {
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
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in it.
  }
}
