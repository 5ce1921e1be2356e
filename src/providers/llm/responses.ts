import { isRecord } from '../../engine/json.ts';
import type { ReaderContext } from './chat-completions.ts';
import { findReport } from './error-body.ts';
import { brokenOff, failedAnswer, failureOfReport, malformedAnswer, refusal } from './failures.ts';
import { type AnswerEnd, readFinishReason } from './finish-reason.ts';
import { ResponseItems } from './response-items.ts';
import type { StepAccumulator, StepReader } from './step.ts';
import { readUsage } from './usage.ts';

type Data = Readonly<Record<string, unknown>>;

/**
 * Reads a Responses stream. Compatible servers leave out the index of an item, or every event but the last: whatever an
 * event repeats is compared with what has been read already, and only the rest is taken.
 */
export class ResponsesReader implements StepReader {
  readonly #out: StepAccumulator;
  readonly #apiKey: string;
  readonly #items: ResponseItems;
  #end: AnswerEnd | null = null;
  #usage: unknown;
  #isDone = false;

  constructor(out: StepAccumulator, { apiKey }: ReaderContext) {
    this.#out = out;
    this.#apiKey = apiKey;
    this.#items = new ResponseItems(out);
  }

  get isSettled(): boolean {
    return this.#end !== null || this.#isDone;
  }

  get isEnded(): boolean {
    return this.isSettled;
  }

  readonly expects = 'nothing';

  read(name: string, data: object): void {
    if (!isRecord(data)) return;
    const type = typeof data.type === 'string' ? data.type : name;
    const delta = typeof data.delta === 'string' ? data.delta : '';
    switch (type) {
      case 'response.output_text.delta':
        this.#items.addText(delta);
        return;
      case 'response.output_text.done':
        if (typeof data.text === 'string') this.#items.endText(data.text);
        return;
      case 'response.reasoning_summary_text.delta':
      case 'response.reasoning_text.delta':
        this.#items.addReasoning(delta);
        return;
      case 'response.reasoning_summary_part.added':
        if (data.summary_index !== 0) this.#items.addReasoning('\n\n');
        return;
      case 'response.refusal.delta':
        if (delta !== '') throw refusal();
        return;
      case 'response.refusal.done':
        throw refusal();
      case 'response.output_item.added':
      case 'response.output_item.done':
        if (!isRecord(data.item)) throw malformedAnswer();
        this.#items.readItem(data.item, data, type.endsWith('.done'));
        return;
      case 'response.function_call_arguments.delta':
        this.#items.addArguments(data, delta);
        return;
      case 'response.function_call_arguments.done':
        if (typeof data.arguments === 'string') this.#items.setArguments(data, data.arguments);
        return;
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
        if (!isRecord(data.response)) throw malformedAnswer();
        this.#readEnd(type.slice('response.'.length), data.response);
        return;
      default: {
        // The other events repeat what the events above say, unless they are errors.
        const report = findReport(data, name === 'error' || type === 'error' ? 'error' : name);
        if (report !== undefined) throw failureOfReport(report, this.#apiKey);
      }
    }
  }

  readWhole(data: object): void {
    if (!isRecord(data)) throw malformedAnswer();
    const report = findReport(data, '');
    if (report !== undefined) throw failureOfReport(report, this.#apiKey);
    if (!Array.isArray(data.output)) throw malformedAnswer();
    this.#readEnd(typeof data.status === 'string' ? data.status : 'completed', data);
  }

  readDone(): void {
    this.#isDone = true;
  }

  finish(): void {
    const { calls, state } = this.#items;
    const end = this.#end ?? (this.#isDone && (this.#out.hasText || calls.length > 0) ? 'complete' : null);
    if (end === null) throw brokenOff();
    if (end === 'failed') throw failedAnswer();
    if (end === 'filtered') throw refusal();
    const usage = readUsage(this.#usage);
    this.#out.finish({ isCut: end === 'cut', calls, usage, ...(state === null ? {} : { state }) });
  }

  #readEnd(status: string, response: Data): void {
    if (status === 'failed') throw failureOfReport(response.error, this.#apiKey);
    if (status === 'cancelled') throw brokenOff();
    if (Array.isArray(response.output)) this.#items.readOutput(response.output);
    this.#usage = response.usage;
    const details = isRecord(response.incomplete_details) ? response.incomplete_details : {};
    const isIncomplete = status === 'incomplete' || response.status === 'incomplete';
    // An answer that is incomplete without a reason was cut.
    const end = isIncomplete ? (readFinishReason(details.reason) ?? 'cut') : 'complete';
    this.#end = end === 'complete' && isIncomplete ? 'cut' : end;
  }
}
