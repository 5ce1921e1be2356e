import { isRecord } from '../../engine/json.ts';
import { CallAssembler } from './call-assembler.ts';
import { MessageStateCollector, readCallExtra } from './chat-state.ts';
import { findReport } from './error-body.ts';
import { brokenOff, failedAnswer, failureOfReport, malformedAnswer, refusal } from './failures.ts';
import { type AnswerEnd, readFinishReason } from './finish-reason.ts';
import type { StepAccumulator, StepReader } from './step.ts';
import { findChatUsage, readUsage } from './usage.ts';

/** What a reader is told about its request. */
export interface ReaderContext {
  /** Masked in what is logged. */
  readonly apiKey: string;
  /** The names of the tools that the model was offered. */
  readonly toolNames: readonly string[];
}

/** Reads a Chat Completions stream, as compatible servers really send it. */
export class ChatCompletionsReader implements StepReader {
  readonly #out: StepAccumulator;
  readonly #apiKey: string;
  readonly #calls: CallAssembler;
  readonly #state = new MessageStateCollector();
  #end: AnswerEnd | null = null;
  /** Whether the reason came in the chunk of a text: some servers send it too early, or in every chunk. */
  #isEndEarly = false;
  #hasUsage = false;
  #usage: unknown;
  #isDone = false;

  constructor(out: StepAccumulator, { apiKey, toolNames }: ReaderContext) {
    this.#out = out;
    this.#apiKey = apiKey;
    this.#calls = new CallAssembler(toolNames);
  }

  get isSettled(): boolean {
    // A server that says "stop" before the text goes on to write it.
    return this.#isDone || (this.#end === 'complete' ? this.#hasContent : this.#end !== null);
  }

  get expects(): 'usage' | 'nothing' | 'text' {
    if (this.#isEndEarly) return 'text';
    return this.#hasUsage ? 'nothing' : 'usage';
  }

  // Usage comes after the reason, so that only [DONE] or the end of the stream is the end.
  get isEnded(): boolean {
    return this.#isDone;
  }

  get #hasContent(): boolean {
    return this.#out.hasText || this.#calls.calls.length > 0;
  }

  read(name: string, data: object): void {
    const report = findReport(data, name);
    if (report !== undefined) throw failureOfReport(report, this.#apiKey);
    const usage = findChatUsage(data);
    if (usage !== undefined) {
      this.#usage = usage;
      this.#hasUsage = true;
    }
    if (!('choices' in data) || !Array.isArray(data.choices)) return;
    const choice: unknown = data.choices[0];
    if (!isRecord(choice)) return;
    if (choice.error) throw failureOfReport(choice.error, this.#apiKey);
    // A server that ignores `stream` puts the whole answer here.
    const delta = isRecord(choice.delta) ? choice.delta : choice.message;
    const isContent = isRecord(delta) && this.#readDelta(delta);
    const end = readFinishReason(choice.finish_reason);
    if (end !== null) {
      this.#end = end;
      this.#isEndEarly = isContent;
    } else if (isContent) this.#end = null;
  }

  readWhole(data: object): void {
    this.read('', data);
    if (!('choices' in data)) throw malformedAnswer();
    this.#isDone = true;
    this.#isEndEarly = false;
  }

  readDone(): void {
    this.#isDone = true;
  }

  finish(): void {
    // A server that never gives a reason says with [DONE] that this is all; one that fails breaks the connection.
    const end = this.#end ?? (this.#isDone && this.#hasContent ? 'complete' : null);
    if (end === null) throw brokenOff();
    if (end === 'failed') throw failedAnswer();
    if (end === 'filtered') throw refusal();
    const message = this.#state.fields;
    const extras = this.#calls.extras;
    const state = message === undefined && extras === null ? {} : { state: { message: message ?? {}, calls: extras } };
    this.#out.finish({ isCut: end === 'cut', calls: this.#calls.calls, usage: readUsage(this.#usage), ...state });
  }

  /** Once per token, so it checks by hand, without a schema. @returns whether there was a part of the answer in it */
  #readDelta(delta: Readonly<Record<string, unknown>>): boolean {
    let isContent = false;
    const { content, refusal: refused, reasoning_content: reasoningContent, reasoning } = delta;
    // Two names for the same: DeepSeek and vLLM use the first, OpenRouter, Groq and Ollama the second.
    if (typeof reasoningContent === 'string' && reasoningContent !== '') {
      this.#out.addReasoning(reasoningContent);
      this.#state.addReasoningContent(reasoningContent);
    } else if (typeof reasoning === 'string') this.#out.addReasoning(reasoning);
    if (typeof content === 'string') {
      this.#out.addText(content);
      isContent = content !== '';
    } else if (Array.isArray(content)) isContent = this.#readParts(content);
    if (typeof refused === 'string' && refused !== '') throw refusal();
    if (Array.isArray(delta.reasoning_details)) {
      this.#out.count(JSON.stringify(delta.reasoning_details).length);
      this.#state.addDetails(delta.reasoning_details);
    }
    if (delta.extra_content) {
      this.#out.count(JSON.stringify(delta.extra_content).length);
      this.#state.addExtraContent(delta.extra_content);
    }
    const calls = delta.tool_calls ?? (delta.function_call ? [{ function: delta.function_call }] : null);
    if (calls) isContent = this.#readFragments(Array.isArray(calls) ? calls : [calls]) || isContent;
    return isContent;
  }

  /** Mistral's reasoning models send lists of parts: `{type: "thinking", thinking: [{type: "text", text}]}`. */
  #readParts(parts: readonly unknown[]): boolean {
    let isContent = false;
    for (const part of parts) {
      const isThinking = isRecord(part) && (part.type === 'thinking' || part.type === 'reasoning');
      if (isThinking) {
        this.#out.addReasoning(readPartText(part.thinking ?? part.reasoning ?? part.text));
        continue;
      }
      const text = readPartText(part);
      this.#out.addText(text);
      isContent ||= text !== '';
    }
    return isContent;
  }

  #readFragments(fragments: readonly unknown[]): boolean {
    for (const fragment of fragments) {
      if (!isRecord(fragment)) throw malformedAnswer();
      const called = isRecord(fragment.function) ? fragment.function : {};
      const extra = readCallExtra(fragment);
      const { added, argumentsLength } = this.#calls.push({
        index: typeof fragment.index === 'number' ? fragment.index : undefined,
        id: typeof fragment.id === 'string' ? fragment.id : '',
        name: typeof called.name === 'string' ? called.name : '',
        arguments: writeArguments(called.arguments),
        extra,
      });
      if (extra !== null) this.#out.count(JSON.stringify(extra).length);
      this.#out.countArguments(added, argumentsLength, this.#calls.calls.length);
    }
    return fragments.length > 0;
  }
}

/** Some servers send the arguments as an object, or as null. */
function writeArguments(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : JSON.stringify(value);
}

/** The text of a part of a message: a string, an object with a `text`, or a list of these. */
function readPartText(part: unknown): string {
  if (typeof part === 'string') return part;
  if (Array.isArray(part)) return part.map(readPartText).join('');
  return isRecord(part) && typeof part.text === 'string' ? part.text : '';
}
