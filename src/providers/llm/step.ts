import { randomUUID } from 'node:crypto';
import type { HistoryItem, ModelEvent, RequestedCall, TokenUsage } from '../../engine/ports.ts';
import { cleanText, TextCleaner } from '../../engine/text.ts';
import { malformedAnswer, oversizedAnswer } from './failures.ts';

/** Characters of text, reasoning and arguments in one step. */
const maxStepLength = 4 * 1024 * 1024;
const maxCalls = 128;
/** What the Responses API allows for a call id, and any tool name fits into. */
const maxIdLength = 64;
const maxNameLength = 128;

/** A tool call as its fragments have come together. */
export interface GatheredCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/**
 * Gathers what one model step answers and turns it into events: text mended and bounded, adjacent deltas that
 * arrived together merged into one, the calls after the text with ids of their own.
 */
export class StepAccumulator {
  readonly #text = new TextCleaner();
  readonly #reasoning = new TextCleaner();
  readonly #knownIds: Set<string>;
  #events: ModelEvent[] = [];
  /** The deltas of this chunk, at most one of each kind: alternating kinds make no more events than one. */
  readonly #pending = new Map<'text' | 'reasoning', string>();
  #length = 0;

  /** @param history whose call ids may not come again */
  constructor(history: readonly HistoryItem[]) {
    const calls = history.flatMap((item) => (item.role === 'assistant' ? item.calls : []));
    this.#knownIds = new Set(calls.map((call) => call.id));
  }

  /** @throws {ModelError} when the step becomes too large */
  addText(delta: string): void {
    this.count(delta.length);
    this.#add('text', this.#text.push(delta));
  }

  /** @throws {ModelError} when the step becomes too large */
  addReasoning(delta: string): void {
    this.count(delta.length);
    this.#add('reasoning', this.#reasoning.push(delta));
  }

  /**
   * Counts characters that are gathered elsewhere.
   * @throws {ModelError} when the step becomes too large
   */
  count(length: number): void {
    this.#length += length;
    if (this.#length > maxStepLength) throw oversizedAnswer();
  }

  /**
   * Ends the step. Where it was cut at its limit the calls are dropped: the last one is incomplete, and a half
   * decision is none.
   * @throws {ModelError} when a call has no name
   */
  finish(cut: boolean, gathered: readonly GatheredCall[], usage: TokenUsage | null): void {
    this.#add('reasoning', this.#reasoning.end());
    this.#add('text', this.#text.end());
    this.#flush();
    if (gathered.length > maxCalls) throw oversizedAnswer();
    const calls = cut ? [] : gathered.map((call) => this.#mendCall(call));
    for (const call of calls) this.#events.push({ type: 'call', call });
    this.#events.push({ type: 'finished', reason: cut ? 'length' : calls.length > 0 ? 'calls' : 'stop', usage });
  }

  /** What has been gathered since the last time. */
  take(): readonly ModelEvent[] {
    this.#flush();
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  #add(type: 'text' | 'reasoning', delta: string): void {
    if (delta === '') return;
    this.#pending.set(type, (this.#pending.get(type) ?? '') + delta);
  }

  #flush(): void {
    for (const [type, delta] of this.#pending) this.#events.push({ type, delta });
    this.#pending.clear();
  }

  #mendCall(call: GatheredCall): RequestedCall {
    const name = cleanText(call.name);
    if (name === '' || name.length > maxNameLength) throw malformedAnswer();
    const given = cleanText(call.id);
    const usable = given !== '' && given.length <= maxIdLength && !this.#knownIds.has(given);
    const id = usable ? given : `call_${randomUUID().replaceAll('-', '')}`;
    this.#knownIds.add(id);
    const text = cleanText(call.arguments);
    return { id, name, arguments: text.trim() === '' ? '{}' : text };
  }
}

/** Reads the events of one API into a gatherer. */
export interface StepReader {
  /**
   * Takes one event, after JSON.parse.
   * @throws {ModelError} when it reports a failure, or cannot be read
   */
  read(name: string, data: object): void;
  /** Whether the answer is complete, although more may come about it, e.g. its usage. */
  readonly settled: boolean;
  /** Whether nothing more can come. */
  readonly ended: boolean;
  /**
   * Takes the end of the stream.
   * @throws {ModelError} when the answer was not complete
   */
  finish(): void;
}
