import type { TurnEvent } from '../../engine/events.ts';
import type { TurnSources } from '../../knowledge/cite/turn-sources.ts';
import type { UnsavedText, UnstoredText } from '../runtime.ts';
import type { FinishedMessage } from '../transitions/step-parts.ts';
import { type RequestedCalls, writeTransfers } from './run-rows.ts';

/** How a message ends. */
export type MessageEnd = Pick<
  Extract<TurnEvent, { type: 'messageCompleted' }>,
  'content' | 'status' | 'finishReason' | 'data'
>;

/** What belongs to a message beside its text. */
interface MessageParts {
  readonly transfers: RequestedCalls['transfers'];
  readonly takesCalls: boolean;
  readonly sources: TurnSources;
  readonly reasoning: string | null;
}

/** The message that a model step is writing, and what its row holds of it. */
export class OpenMessage {
  readonly id: string;
  readonly agentId: string;
  readonly step: number;
  /** Whether its row is there. */
  stored: boolean;
  /** Whether somebody writes its row. */
  storing = false;
  #chunks: string[] = [];
  #saved = '';

  constructor(
    { id, agentId, step }: { readonly id: string; readonly agentId: string; readonly step: number },
    stored = false,
  ) {
    this.id = id;
    this.agentId = agentId;
    this.step = step;
    this.stored = stored;
  }

  /** The text so far. The pieces are replaced by it, so that none is joined twice. */
  get text(): string {
    const text = this.#chunks.join('');
    this.#chunks = [text];
    return text;
  }

  push(delta: string): void {
    this.#chunks.push(delta);
  }

  /** Withdraws the text after so many UTF-16 code units. */
  retract(length: number): void {
    this.#chunks = [this.text.slice(0, length)];
  }

  /** Notes what its row holds. */
  noteSaved(text: string): void {
    this.#saved = text;
  }

  /** The text if its row is behind; null: it is not, or there is no row. */
  get unsaved(): UnsavedText | null {
    if (!this.stored) return null;
    const content = this.text;
    return content === this.#saved ? null : { messageId: this.id, content };
  }

  /** What a row is made of, if there is none and nobody writes one. */
  get unstored(): UnstoredText | null {
    if (this.stored || this.storing) return null;
    return { messageId: this.id, agentId: this.agentId, step: this.step, content: this.text };
  }

  /**
   * Notes that somebody writes its row.
   * @param writing the ids of the messages that were stored
   * @returns whether its row is there now. If the write failed it may be there all the same: what is written next finds out
   */
  async noteStoring({ messageId, content }: UnsavedText, writing: Promise<ReadonlySet<string>>): Promise<boolean> {
    const isStored = await this.noteWriting(writing.then((ids) => ids.has(messageId)).catch(() => false));
    if (isStored) this.#saved = content;
    return isStored;
  }

  /** As {@link noteStoring}, for a row that is not made of the text so far. @param writing whether it is there */
  async noteWriting(writing: Promise<boolean>): Promise<boolean> {
    this.storing = true;
    const isStored = await writing;
    this.storing = false;
    if (isStored) this.stored = true;
    return isStored;
  }

  /**
   * The message as it is stored once it is finished.
   * @param end null: it was cut off, and ends with what there is of it
   * @param of.transfers the handoffs that its step asks for
   * @param of.takesCalls whether calls of earlier steps without a text belong to it
   * @param of.sources what its text may cite
   * @param of.reasoning what was thought before it, if it is stored
   */
  finish(
    end: MessageEnd | null,
    { transfers, takesCalls, sources, reasoning: thought }: MessageParts,
  ): FinishedMessage {
    const { id: messageId, agentId, step } = this;
    const { content, status, finishReason } = end ?? { content: this.text, status: 'PARTIAL', finishReason: 'ERROR' };
    // Whoever takes the run over learns whether the model had asked for more.
    const written = status === 'PARTIAL' ? null : writeTransfers(transfers);
    const citations = sources.citedIn(content);
    // What a guardrail has stopped leaves nothing behind.
    const reasoning = finishReason === 'FILTERED' ? null : thought;
    const parts = { transfers: written, takesCalls, citations, reasoning };
    return {
      messageId,
      agentId,
      step,
      content,
      status,
      finishReason,
      ...parts,
      ...(end && 'data' in end && { data: end.data }),
    };
  }
}
