import { type ChildProcess, fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { UnreadableDocumentError } from './block.ts';
import { type ParseAnswer, type ParseRequest, parseAnswer } from './messages.ts';
import type { DocumentText, ParsedDocument } from './read-document.ts';

/** How long the process waits for another document, in milliseconds: starting it takes longer than most documents. */
const idleMs = 10_000;
/** Documents after which it is started anew: whatever one of them has left in it is gone. */
const maxDocuments = 100;
/** What of the program the process may read: neither `.env` nor the data, which can be in the same folder. */
const programFiles = ['src/', 'node_modules/', 'package.json'].map((name) =>
  fileURLToPath(new URL(`../../../${name}`, import.meta.url)),
);

/** A process may be taken over by a document, and send anything. */
const broken = 'The process that reads documents broke.';

type DocumentFile = Pick<ParseRequest, 'data' | 'mediaType'>;
type DocumentAnswer = Exclude<ParseAnswer, { outcome: 'unreadable' }>;

/** What reading one document may take. */
export interface ParserLimits {
  readonly maxMemoryBytes: number;
  readonly timeoutMs: number;
}

/**
 * Reads documents in a process of its own, one at a time: the event loop waits for none, what a document makes a parser do
 * is bounded in memory and time, and that process may neither write files nor start others. It has a low priority, so
 * that turns come first.
 */
export class DocumentParser implements AsyncDisposable {
  readonly #limits: ParserLimits;
  #child: ChildProcess | null = null;
  #documents = 0;
  #lastId = 0;
  #idle: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
  }

  /**
   * Reads a document and divides it into chunks. Others wait until it is done.
   * @param signal ends it
   * @throws {UnreadableDocumentError} if the document cannot be read, or takes too much memory or time
   */
  async parse(
    { maxChunks, ...document }: DocumentFile & { readonly maxChunks: number },
    signal: AbortSignal,
  ): Promise<ParsedDocument> {
    const answer = await this.#ask({ ...document, wanted: { kind: 'chunks', maxChunks } }, signal);
    if (answer.outcome === 'read') return answer;
    throw new UnreadableDocumentError(broken);
  }

  /**
   * Reads the text of a document, from its beginning. Others wait until it is done.
   * @param signal ends it
   * @throws {UnreadableDocumentError} if the document cannot be read, or takes too much memory or time
   */
  async readText(
    { maxCharacters, ...document }: DocumentFile & { readonly maxCharacters: number },
    signal: AbortSignal,
  ): Promise<DocumentText> {
    const answer = await this.#ask({ ...document, wanted: { kind: 'text', maxCharacters } }, signal);
    if (answer.outcome === 'text') return answer;
    throw new UnreadableDocumentError(broken);
  }

  #ask(document: Omit<ParseRequest, 'id'>, signal: AbortSignal): Promise<DocumentAnswer> {
    const turn = this.#last.then(() => this.#parse(document, signal));
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#end();
  }

  async #parse(document: Omit<ParseRequest, 'id'>, signal: AbortSignal): Promise<DocumentAnswer> {
    signal.throwIfAborted();
    if (this.#closed) throw new Error('The process stops.');
    clearTimeout(this.#idle);
    const child = this.#child ?? this.#start();
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<DocumentAnswer>();
    const { timeoutMs, maxMemoryBytes } = this.#limits;
    const timer = setTimeout(() => {
      fail(new UnreadableDocumentError(`Reading the document takes longer than ${timeoutMs / 1_000} seconds.`));
    }, timeoutMs);
    const onMessage = (message: unknown) => {
      const parsed = parseAnswer.safeParse(message);
      // A document may have taken the process over, so that it sends anything.
      if (!parsed.success) return fail(new UnreadableDocumentError(broken));
      const answer = parsed.data;
      if (answer.id !== id) return;
      if (answer.outcome === 'unreadable') reject(new UnreadableDocumentError(answer.reason));
      else resolve(answer);
    };
    const onExit = () => {
      if (this.#child === child) this.#child = null;
      const megabytes = Math.round(maxMemoryBytes / 1_000_000);
      reject(new UnreadableDocumentError(`Reading the document takes more than ${megabytes} MB of memory.`));
    };
    const fail = (error: unknown) => {
      reject(error);
      this.#end();
    };
    const onAbort = () => fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    child.on('message', onMessage).once('exit', onExit).once('error', fail);
    try {
      child.send({ ...document, id } satisfies ParseRequest);
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      child.off('message', onMessage).off('exit', onExit).off('error', fail);
      this.#documents += 1;
      if (this.#documents >= maxDocuments) this.#end();
      else this.#idle = setTimeout(() => this.#end(), idleMs).unref();
    }
  }

  #start(): ChildProcess {
    const { maxMemoryBytes } = this.#limits;
    const heapMegabytes = Math.max(64, Math.floor((maxMemoryBytes * 0.75) / 1_048_576));
    const child = fork(fileURLToPath(new URL('./parse-process.ts', import.meta.url)), [String(maxMemoryBytes)], {
      execArgv: [
        `--max-old-space-size=${heapMegabytes}`,
        '--permission',
        ...programFiles.map((path) => `--allow-fs-read=${path}`),
        '--allow-worker',
        '--disable-warning=SecurityWarning',
      ],
      // No secret of the server is in its environment.
      env: {},
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.unref();
    child.channel?.unref();
    // Kept from ending the server: whoever waits for an answer hears of the exit.
    child.on('error', () => {});
    if (child.pid !== undefined) lowerPriority(child.pid);
    this.#child = child;
    this.#documents = 0;
    return child;
  }

  #end(): void {
    clearTimeout(this.#idle);
    const child = this.#child;
    this.#child = null;
    child?.kill('SIGKILL');
  }
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system does not allow it: then it runs like any other.
  }
}
