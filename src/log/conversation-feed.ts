import { ConflictError } from '../api/errors.ts';

/** Something that happened in a conversation, by row ids: whoever is told reads the rows as they are then. */
export type ConversationChange = { readonly conversationId: string } & (
  | { readonly type: 'ConversationUpdated' }
  | { readonly type: 'MessageAdded'; readonly messageId: string }
  | { readonly type: 'RunChanged'; readonly runId: string }
  | {
      readonly type: 'AgentSwitched';
      readonly fromAgentId: string | null;
      readonly toAgentId: string;
      readonly reason: string | null;
    }
);

/** A reader that is this far behind is told to read the conversation again. */
const maxPending = 1_000;

const done: IteratorResult<ConversationChange, undefined> = { done: true, value: undefined };

/**
 * Tells the readers of a conversation what happens in it, in this process. Nothing is kept: it begins where a reader
 * begins, and what was before is in the rows.
 */
export class ConversationFeed {
  readonly #readers = new Map<string, Set<ConversationReader>>();

  /** Tells everybody who reads the conversation now. */
  publish(change: ConversationChange): void {
    for (const reader of this.#readers.get(change.conversationId) ?? []) reader.push(change);
  }

  /** Ends everybody's reading of a conversation: it is gone. What they have not yet read they still get. */
  end(conversationId: string): void {
    for (const reader of [...(this.#readers.get(conversationId) ?? [])]) reader.end();
  }

  /** Reads a conversation from now on. */
  follow(conversationId: string): ConversationReader {
    const readers = this.#readers.get(conversationId) ?? new Set();
    this.#readers.set(conversationId, readers);
    const reader = new ConversationReader(() => {
      readers.delete(reader);
      if (readers.size === 0 && this.#readers.get(conversationId) === readers) this.#readers.delete(conversationId);
    });
    readers.add(reader);
    return reader;
  }

  /** How many conversations are being read. */
  get size(): number {
    return this.#readers.size;
  }
}

/** One reader of a conversation. Changes that say the same twice are told once. */
export class ConversationReader implements AsyncIterableIterator<ConversationChange, undefined> {
  readonly #pending = new Map<string, ConversationChange>();
  readonly #onClose: () => void;
  #pushed = 0;
  #closed = false;
  #failure: ConflictError | null = null;
  #waiting: ((result: IteratorResult<ConversationChange, undefined>) => void) | null = null;

  constructor(onClose: () => void) {
    this.#onClose = onClose;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Takes a change for the reader. */
  push(change: ConversationChange): void {
    if (this.#closed) return;
    if (this.#waiting) {
      const deliver = this.#waiting;
      this.#waiting = null;
      deliver({ done: false, value: change });
      return;
    }
    // Who has not yet read that a run changed reads its row as it is then: once is enough. A switch is told each time.
    const key = change.type === 'AgentSwitched' ? `switch ${++this.#pushed}` : JSON.stringify(change);
    this.#pending.set(key, change);
    if (this.#pending.size <= maxPending) return;
    this.#failure = new ConflictError('This reader fell behind. Read the conversation again, and subscribe anew.');
    this.#pending.clear();
    this.#close();
  }

  /** Takes no more. */
  end(): void {
    this.#close();
  }

  /** @throws {ConflictError} once, when more had queued up than is kept */
  next(): Promise<IteratorResult<ConversationChange, undefined>> {
    for (const [key, change] of this.#pending) {
      this.#pending.delete(key);
      return Promise.resolve({ done: false, value: change });
    }
    if (this.#failure) {
      const failure = this.#failure;
      this.#failure = null;
      return Promise.reject(failure);
    }
    if (this.#closed) return Promise.resolve(done);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  return(): Promise<IteratorResult<ConversationChange, undefined>> {
    this.#pending.clear();
    this.#close();
    return Promise.resolve(done);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting?.(done);
    this.#waiting = null;
    this.#onClose();
  }
}
