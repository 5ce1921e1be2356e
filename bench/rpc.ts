import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';

const request = z.object({ call: z.int(), method: z.string(), params: z.unknown() });
const answer = z.union([
  z.object({ call: z.int(), result: z.unknown() }),
  z.object({ call: z.int(), error: z.string() }),
]);

export type Methods = Readonly<Record<string, (params: unknown) => unknown>>;

/** Ends this process when the one that forked it is gone, however that went. */
export function endWithParent(): void {
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}

/** Answers the calls of the process that forked this one. */
export function answerCalls(methods: Methods): void {
  endWithParent();
  process.on('message', (message) => {
    const { call, method, params } = request.parse(message);
    const work = async () => {
      const handler = methods[method];
      if (!handler) throw new Error(`There is no method ${method}.`);
      return handler(params);
    };
    work().then(
      (result) => process.send?.({ call, result }),
      (error: unknown) =>
        process.send?.({ call, error: error instanceof Error ? (error.stack ?? error.message) : '?' }),
    );
  });
}

/** A child process that answers calls. */
export class Child implements AsyncDisposable {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #open = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #exited: Promise<unknown>;
  #last = 0;
  #output = '';

  /** @param options.env all of its environment but PATH: what this process was told is not for what it measures */
  constructor(
    name: string,
    path: URL,
    options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string; readonly execArgv?: readonly string[] } = {},
  ) {
    this.name = name;
    this.#process = fork(path, {
      env: { ...(process.env.PATH === undefined ? {} : { PATH: process.env.PATH }), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      execArgv: [...(options.execArgv ?? [])],
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-200_000);
    });
    this.#process.on('message', (message) => this.#settle(message));
    this.#exited = once(this.#process, 'exit').then(([code]) => {
      const error = new Error(`${name} has exited (code ${String(code)}).\n${this.#output}`);
      for (const { reject } of this.#open.values()) reject(error);
      this.#open.clear();
    });
  }

  /** The end of what it has written to standard output. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Whether it still runs. */
  get runs(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Ends it without asking. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  /** Calls a method in the child. @throws with what the child threw, or when it has exited */
  async call<Schema extends z.ZodType>(method: string, params: unknown, result: Schema): Promise<z.output<Schema>> {
    const call = ++this.#last;
    const given = await new Promise((resolve, reject) => {
      if (!this.runs) return reject(new Error(`${this.name} has exited.\n${this.#output}`));
      this.#open.set(call, { resolve, reject });
      // Without a callback, a child that has just gone would end this process by an event.
      return this.#process.send({ call, method, params }, (error) => {
        if (error) reject(error);
      });
    });
    return result.parse(given);
  }

  /** Waits until the child has written something, and returns the first group of it. @throws when it exits before */
  async waitForOutput(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#output)?.[1];
      if (found !== undefined) return found;
      if (!this.runs) throw new Error(`${this.name} has exited.\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.runs) this.#process.kill('SIGTERM');
    await this.#exited;
  }

  #settle(message: unknown): void {
    const settled = answer.parse(message);
    const waiting = this.#open.get(settled.call);
    this.#open.delete(settled.call);
    if ('error' in settled) waiting?.reject(new Error(`${this.name}: ${settled.error}`));
    else waiting?.resolve(settled.result);
  }
}
