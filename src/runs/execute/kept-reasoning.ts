import type { TurnEvent } from '../../engine/events.ts';
import type { RunEventPayload } from '../../log/event.ts';

/** Characters of the reasoning before one message that are stored. */
const maxLength = 262_144;

/** The reasoning before the message that a run writes, for tenants that have it stored. */
export class KeptReasoning {
  readonly #isStored: boolean;
  #messageId = '';
  #chunks: string[] = [];
  #length = 0;

  /** @param isStored whether the tenant has it stored; else nothing is kept */
  constructor(isStored: boolean) {
    this.#isStored = isStored;
  }

  /** Takes a delta. @returns the event that readers are shown */
  record({ type: _, ...shown }: Extract<TurnEvent, { type: 'reasoningDelta' }>): RunEventPayload {
    if (this.#isStored) this.#push(shown);
    return { type: 'ReasoningDelta', ...shown };
  }

  #push({ messageId, offset, delta }: Omit<Extract<TurnEvent, { type: 'reasoningDelta' }>, 'type'>): void {
    // A step that is tried again thinks anew.
    if (messageId !== this.#messageId || offset === 0) {
      this.#messageId = messageId;
      this.#chunks = [];
      this.#length = 0;
    }
    const kept = delta.slice(0, maxLength - this.#length);
    this.#length += kept.length;
    if (kept !== '') this.#chunks.push(kept);
  }

  /** What was thought before a message; null: nothing. */
  of(messageId: string): string | null {
    if (messageId !== this.#messageId || this.#length === 0) return null;
    return this.#chunks.join('').toWellFormed();
  }
}
