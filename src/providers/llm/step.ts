import { randomUUID } from 'node:crypto';
import { isRecord, parseJson } from '../../engine/json.ts';
import type { HistoryItem, ModelEvent, RequestedCall, TokenUsage } from '../../engine/ports.ts';
import { cleanText, TextCleaner } from '../../engine/text.ts';
import { emptyAnswer, malformedAnswer, oversizedAnswer, oversizedArguments, tooManyCalls } from './failures.ts';
import { ThinkTagSplitter } from './think-tags.ts';

/** Characters of text, reasoning and arguments in one step. */
const maxStepLength = 4 * 1024 * 1024;
/** Characters of the arguments of one tool call, and of all calls of a step. */
const maxCallArguments = 256 * 1024;
const maxStepArguments = 1024 * 1024;
const maxCalls = 128;
/** The Responses API allows 64 characters for a call id; any tool name fits into 128. */
const maxIdLength = 64;
const maxNameLength = 128;

/** A tool call, assembled from its fragments. */
export interface AssembledCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** The end of a step, as its provider reported it. */
export interface StepEnd {
  /** Whether the answer was cut at a token limit. */
  readonly isCut: boolean;
  readonly calls: readonly AssembledCall[];
  readonly usage: TokenUsage | null;
  /** What the provider wants back with the calls, as JSON; undefined: nothing. */
  readonly state?: unknown;
}

type BoundUsage = (usage: TokenUsage, answerLength: number) => TokenUsage;

/**
 * Turns what one model step streams into events: the text is cleaned and limited in size, reasoning in tags is separated
 * from it, adjacent deltas that arrived together are merged, and the calls come after the text with unique ids.
 */
export class StepAccumulator {
  readonly #text = new TextCleaner();
  readonly #reasoning = new TextCleaner();
  readonly #tags = new ThinkTagSplitter();
  readonly #knownIds: Set<string>;
  readonly #boundUsage: BoundUsage;
  #events: ModelEvent[] = [];
  /** The deltas of this chunk, at most one of each kind: alternating kinds make no more events than one. */
  readonly #pending = new Map<'text' | 'reasoning', string>();
  #length = 0;
  #argumentsLength = 0;
  #hasText = false;
  #hasReasoning = false;

  /**
   * @param history its call ids are not used again
   * @param boundUsage what a report is worth for that many characters of an answer; absent: it is trusted
   */
  constructor(history: readonly HistoryItem[], boundUsage: BoundUsage = (usage) => usage) {
    this.#boundUsage = boundUsage;
    const calls = history.flatMap((item) => (item.role === 'assistant' ? item.calls : []));
    this.#knownIds = new Set(calls.map((call) => call.id));
  }

  /** Whether there is any text that is not blank. */
  get hasText(): boolean {
    return this.#hasText;
  }

  /** @throws {ModelError} if the step becomes too large */
  addText(delta: string): void {
    this.count(delta.length);
    for (const part of this.#tags.push(this.#text.push(delta))) this.#add(part.type, part.delta);
  }

  /** @throws {ModelError} if the step becomes too large */
  addReasoning(delta: string): void {
    this.count(delta.length);
    this.#add('reasoning', this.#reasoning.push(delta));
  }

  /**
   * Counts characters that are collected elsewhere.
   * @throws {ModelError} if the step becomes too large
   */
  count(length: number): void {
    this.#length += length;
    if (this.#length > maxStepLength) throw oversizedAnswer();
  }

  /**
   * Counts the arguments of tool calls as they arrive, so that what is too much is never collected.
   * @param added characters that were added to one of the calls
   * @param ofCall characters that the arguments of that call have now
   * @param calls how many calls there are
   * @throws {ModelError} if the call, the calls of the step or their number becomes too large
   */
  countArguments(added: number, ofCall: number, calls: number): void {
    this.count(added);
    this.#argumentsLength += added;
    if (ofCall > maxCallArguments) throw oversizedArguments('one tool call', maxCallArguments);
    if (this.#argumentsLength > maxStepArguments)
      throw oversizedArguments('the tool calls of one step', maxStepArguments);
    if (calls > maxCalls) throw tooManyCalls(maxCalls);
  }

  /**
   * Ends the step. If it was cut at its limit, the calls are dropped: the last one is incomplete.
   * @throws {ModelError} if a call has no name, or the answer is empty
   */
  finish({ isCut, calls: assembled, usage, state }: StepEnd): void {
    this.#add('reasoning', this.#reasoning.end());
    for (const part of [...this.#tags.push(this.#text.end()), ...this.#tags.end()]) this.#add(part.type, part.delta);
    this.#flush();
    const calls = isCut ? [] : assembled.map((call) => this.#cleanCall(call));
    const reason = isCut ? 'length' : calls.length > 0 ? 'calls' : 'stop';
    for (const call of calls) this.#events.push({ type: 'call', call });
    this.#events.push({
      type: 'finished',
      reason,
      usage: usage && this.#boundUsage(usage, this.#length),
      ...(calls.length > 0 && state !== undefined ? { state } : {}),
    });
    if (calls.length > 0 || this.#hasText) return;
    // After the event with the usage: an empty answer has cost tokens, too.
    const hasReasoned = this.#hasReasoning || (usage?.reasoningTokens ?? 0) > 0;
    if (isCut) throw emptyAnswer(assembled.length > 0 ? 'cut-call' : 'cut');
    throw emptyAnswer(hasReasoned ? 'only-reasoning' : 'nothing');
  }

  /** The events since the last call. */
  take(): readonly ModelEvent[] {
    this.#flush();
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  #add(type: 'text' | 'reasoning', delta: string): void {
    if (delta === '') return;
    if (type === 'text') this.#hasText ||= delta.trim() !== '';
    else this.#hasReasoning = true;
    this.#pending.set(type, (this.#pending.get(type) ?? '') + delta);
  }

  #flush(): void {
    for (const [type, delta] of this.#pending) this.#events.push({ type, delta });
    this.#pending.clear();
  }

  #cleanCall(call: AssembledCall): RequestedCall {
    const name = cleanText(call.name).trim();
    if (name === '' || name.length > maxNameLength) throw malformedAnswer();
    const sentId = cleanText(call.id);
    const isUsable = sentId !== '' && sentId.length <= maxIdLength && !this.#knownIds.has(sentId);
    const id = isUsable ? sentId : `call_${randomUUID().replaceAll('-', '')}`;
    this.#knownIds.add(id);
    return { id, name, arguments: cleanArguments(cleanText(call.arguments)) };
  }
}

/**
 * The arguments of a call. Models write null, [] or "" for a tool without parameters, and some servers put the JSON
 * object into a JSON string.
 */
function cleanArguments(text: string): string {
  if (text.trim() === '') return '{}';
  const value = parseJson(text);
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return '{}';
  if (typeof value !== 'string') return text;
  return value.trim() === '' ? '{}' : isRecord(parseJson(value)) ? value : text;
}

/** Reads the events of one API into an accumulator. */
export interface StepReader {
  /**
   * Takes one event, after JSON.parse.
   * @throws {ModelError} if it reports a failure, or cannot be read
   */
  read(name: string, data: object): void;
  /**
   * Takes the answer as one body: the server ignored that it was asked for a stream.
   * @throws {ModelError} as `read` does
   */
  readWhole(data: object): void;
  /** Takes the marker `[DONE]`, after which nothing comes. */
  readDone(): void;
  /** Whether the provider has said how the answer ended, although more may follow, e.g. its usage. */
  readonly isSettled: boolean;
  /** How much more is expected once the answer is settled. */
  readonly expects: 'usage' | 'nothing' | 'text';
  /** Whether nothing more can come. */
  readonly isEnded: boolean;
  /**
   * Takes the end of the stream.
   * @throws {ModelError} if the answer was not complete
   */
  finish(): void;
}
