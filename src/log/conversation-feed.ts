import { ConflictError } from '../api/errors.ts';

/** Something that happened in a conversation, by row ids: its readers read the rows as they are then. */
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

/** A reader with more unread changes than this is closed, and has to read the conversation again. */
const maxPending = 1_000;

const done: IteratorResult<ConversationChange, undefined> = { done: true, value: undefined };

/**
 * Notifies the readers of a conversation of what happens in it, in this process. Nothing is stored: a reader gets the
 * changes from the moment it subscribes; everything before is in the rows.
 */
export class ConversationFeed {
  readonly #readers = new Map<string, Set<ConversationReader>>();

  /** Notifies all current readers of the conversation. */
  publish(change: ConversationChange): void {
    for (const reader of this.#readers.get(change.conversationId) ?? []) reader.push(change);
  }

  /** Closes all readers of a conversation, which was deleted. They still get the changes that they have not read. */
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

  /** How many conversations have readers. */
  get size(): number {
    return this.#readers.size;
  }
}

/** One reader of a conversation. Equal changes that are unread are delivered once. */
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

  /** Adds a change. */
  push(change: ConversationChange): void {
    if (this.#closed) return;
    if (this.#waiting) {
      const deliver = this.#waiting;
      this.#waiting = null;
      deliver({ done: false, value: change });
      return;
    }
    // A reader that gets a change reads the row as it is then: once is enough. Each switch is delivered.
    const key = change.type === 'AgentSwitched' ? `switch ${++this.#pushed}` : JSON.stringify(change);
    this.#pending.set(key, change);
    if (this.#pending.size <= maxPending) return;
    this.#failure = new ConflictError('This reader fell behind. Read the conversation again, then subscribe again.');
    this.#pending.clear();
    this.#close();
  }

  /** Closes the reader; unread changes can still be read. */
  end(): void {
    this.#close();
  }

  /** @throws {ConflictError} once, when too many changes were unread */
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
