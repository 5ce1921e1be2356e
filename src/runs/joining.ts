import { setTimeout as sleep } from 'node:timers/promises';

/** Somebody who waits for what happens to a message. */
interface JoiningWaiter extends Disposable {
  /** Resolves when something was decided in the conversation since it was opened, or after so many milliseconds. */
  wait(maxMs: number): Promise<void>;
}

/**
 * Those who wait, in this process, until it is decided what happens to a message that is to join a run. The rows decide; this
 * only says when to look at them again.
 */
export class JoiningMessages {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** How many conversations somebody waits in. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Begins to listen: open it before the rows are read, so that nothing is missed in between. */
  open(conversationId: string): JoiningWaiter {
    const controller = new AbortController();
    const wake = () => controller.abort();
    const others = this.#waiting.get(conversationId) ?? new Set();
    this.#waiting.set(conversationId, others.add(wake));
    return {
      wait: (maxMs) => sleep(maxMs, undefined, { ref: false, signal: controller.signal }).catch(() => {}),
      [Symbol.dispose]: () => {
        others.delete(wake);
        if (others.size === 0 && this.#waiting.get(conversationId) === others) this.#waiting.delete(conversationId);
      },
    };
  }

  /** Messages of a conversation have joined its run, or are turns of their own. */
  wake(conversationId: string): void {
    for (const wake of this.#waiting.get(conversationId) ?? []) wake();
  }
}
