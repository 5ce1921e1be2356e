import { isRecord } from '../../engine/json.ts';
import { malformedAnswer, refusal } from './failures.ts';
import type { AssembledCall, StepAccumulator } from './step.ts';

type Data = Readonly<Record<string, unknown>>;

/** A call that is being assembled; the index or id of its item, if the server sends one. */
interface OpenCall {
  readonly index: number | null;
  readonly itemId: string;
  readonly order: number;
  id: string;
  name: string;
  arguments: string;
}

/** Encrypted reasoning of one step: more than any model sends. */
const maxReasoningItems = 64;

/**
 * The output items of one response. Servers say the same thing up to four times: in deltas, when a part is done, when an
 * item is done, and when the response is. Whichever comes first is passed on, and later ones only add what is missing.
 */
export class ResponseItems {
  readonly #out: StepAccumulator;
  readonly #calls: OpenCall[] = [];
  readonly #reasoning: Data[] = [];
  /** The text of the part, the message and the response so far, to know what a later event repeats. */
  #part = '';
  #message = '';
  #whole = '';
  #hasReasoned = false;

  constructor(out: StepAccumulator) {
    this.#out = out;
  }

  /** The calls in the order of their items. */
  get calls(): readonly AssembledCall[] {
    return [...this.#calls].sort((one, other) => (one.index ?? one.order) - (other.index ?? other.order));
  }

  /** What the provider wants back with the calls; null: nothing. */
  get state(): { readonly reasoning: readonly Data[] } | null {
    return this.#reasoning.length === 0 ? null : { reasoning: this.#reasoning };
  }

  addText(delta: string): void {
    this.#part += delta;
    this.#message += delta;
    this.#whole += delta;
    this.#out.addText(delta);
  }

  addReasoning(delta: string): void {
    this.#hasReasoned ||= delta !== '';
    this.#out.addReasoning(delta);
  }

  /** Takes the whole text of a part. */
  endText(text: string): void {
    this.addText(restOf(text, this.#part));
    this.#part = '';
  }

  /**
   * Takes an item as it begins or ends.
   * @throws {ModelError} if it is a refusal
   */
  readItem(item: Data, event: Data, isDone: boolean): void {
    if (item.type === 'message') this.#readMessage(item, isDone);
    else if (item.type === 'function_call') this.#readCall(item, event);
    else if (item.type === 'reasoning' && isDone) this.#readReasoning(item);
  }

  /** Takes the output of the whole response. */
  readOutput(output: readonly unknown[]): void {
    const items = output.filter(isRecord);
    for (const item of items) {
      if (item.type === 'reasoning') this.#readReasoning(item);
    }
    const texts = items.flatMap((item) => (item.type === 'message' ? [readText(item)] : []));
    this.addText(restOf(texts.filter((text) => text !== '').join('\n\n'), this.#whole));
    const isKnown = this.#calls.length > 0;
    for (const [index, item] of items.entries()) {
      if (item.type === 'function_call' && (!isKnown || this.#find(item, item) !== undefined)) {
        this.#readCall(item, isKnown ? item : { output_index: index });
      }
    }
  }

  /** @throws {ModelError} if the item that names the call has not come */
  addArguments(event: Data, delta: string): void {
    const call = this.#find(event, {}) ?? this.#lastIfUnnamed(event);
    if (call === undefined) throw malformedAnswer();
    call.arguments += delta;
    this.#countArguments(call, delta.length);
  }

  /** @throws {ModelError} if the item that names the call has not come */
  setArguments(event: Data, text: string): void {
    const call = this.#find(event, {}) ?? this.#lastIfUnnamed(event);
    if (call === undefined) throw malformedAnswer();
    const added = Math.max(0, text.length - call.arguments.length);
    call.arguments = text;
    this.#countArguments(call, added);
  }

  #countArguments(call: OpenCall, added: number): void {
    this.#out.countArguments(added, call.arguments.length, this.#calls.length);
  }

  #readMessage(item: Data, isDone: boolean): void {
    if (isDone) {
      this.addText(restOf(readText(item), this.#message));
    } else if (this.#whole !== '') {
      // A model may write two messages in one answer; to the reader they are one text.
      this.#whole += '\n\n';
      this.#out.addText('\n\n');
    }
    this.#part = '';
    this.#message = '';
  }

  #readCall(item: Data, event: Data): void {
    const [id, name, text] = [item.call_id, item.name, item.arguments].map((value) =>
      typeof value === 'string' ? value : '',
    );
    const sent = text || (isRecord(item.arguments) ? JSON.stringify(item.arguments) : '');
    let call = this.#find(event, item);
    if (call === undefined) {
      const index = typeof event.output_index === 'number' ? event.output_index : null;
      const itemId = typeof item.id === 'string' ? item.id : '';
      call = { index, itemId, order: this.#calls.length, id: '', name: '', arguments: '' };
      this.#calls.push(call);
    }
    const added = Math.max(0, sent.length - call.arguments.length);
    if (id) call.id = id;
    if (name) call.name = name;
    if (sent !== '') call.arguments = sent;
    this.#countArguments(call, added + 1);
  }

  #readReasoning(item: Data): void {
    if (!this.#hasReasoned && Array.isArray(item.summary)) {
      this.addReasoning(
        item.summary
          .flatMap((part: unknown) => (isRecord(part) && typeof part.text === 'string' ? [part.text] : []))
          .join('\n\n'),
      );
    }
    // Without its encrypted content an item is only an id, and nothing is stored at the provider.
    if (typeof item.encrypted_content !== 'string' || this.#reasoning.length >= maxReasoningItems) return;
    if (this.#reasoning.some((known) => known.encrypted_content === item.encrypted_content)) return;
    this.#out.count(item.encrypted_content.length);
    this.#reasoning.push({
      ...(typeof item.id === 'string' && { id: item.id }),
      encrypted_content: item.encrypted_content,
    });
  }

  /** The call that an event is about: by the index of its item, the id of its item, or its call id. */
  #find(event: Data, item: Data): OpenCall | undefined {
    const { output_index: index, item_id: eventItemId } = event;
    const itemId = eventItemId ?? item.id;
    return this.#calls.find((call) => {
      if (typeof index === 'number' && call.index !== null) return call.index === index;
      if (typeof itemId === 'string' && itemId !== '' && call.itemId !== '') return call.itemId === itemId;
      return typeof item.call_id === 'string' && item.call_id !== '' && call.id === item.call_id;
    });
  }

  #lastIfUnnamed(event: Data): OpenCall | undefined {
    const last = this.#calls.at(-1);
    if (typeof event.output_index === 'number' && last?.index !== null && last !== undefined) return undefined;
    return last;
  }
}

/** The part of a text that has not been read yet. */
function restOf(text: string, read: string): string {
  if (read === '') return text;
  return text.startsWith(read) ? text.slice(read.length) : '';
}

/** @throws {ModelError} if it is a refusal */
function readText(message: Data): string {
  if (typeof message.content === 'string') return message.content;
  if (!Array.isArray(message.content)) return '';
  return message.content
    .filter(isRecord)
    .map((part) => {
      if (typeof part.refusal === 'string' && part.refusal !== '') throw refusal();
      return typeof part.text === 'string' ? part.text : '';
    })
    .join('');
}
