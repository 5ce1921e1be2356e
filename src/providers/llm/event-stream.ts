import { malformedAnswer } from './failures.ts';

/** Bytes of one line that are still waited for. A real provider's longest is the final response object. */
const maxLineBytes = 16 * 1024 * 1024;

const lineFeed = 0x0a;

/** Called for each server-sent event; the name is empty where it has none. */
export type OnEvent = (name: string, data: string) => void;

/**
 * Cuts the bytes of a response into server-sent events (https://html.spec.whatwg.org/#event-stream-interpretation;
 * lines end with LF or CRLF, ids and retry times are passed over).
 *
 * The openai package has one of its own, but its three nested async generators cost a good part of the CPU time of a
 * streamed turn, and they hide where a stream broke off.
 */
export class EventStreamDecoder {
  readonly #onEvent: OnEvent;
  /** The beginning of a line, as its pieces came: joined once, or a long line in small pieces would be copied for each. */
  #rest: Buffer[] = [];
  #restLength = 0;
  #started = false;
  #name = '';
  #data: string | undefined;

  constructor(onEvent: OnEvent) {
    this.#onEvent = onEvent;
  }

  /**
   * Takes the next bytes and calls back for each event that they complete.
   * @throws {ModelError} when a line is longer than any that is meant well
   */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // Whole lines only: a character may be split between chunks, but never at a line feed.
    const end = bytes.lastIndexOf(lineFeed) + 1;
    if (end > 0) this.#readLines(this.#takeRest(bytes.subarray(0, end)));
    if (end === bytes.length) return;
    this.#rest.push(bytes.subarray(end));
    this.#restLength += bytes.length - end;
    if (this.#restLength > maxLineBytes) throw malformedAnswer();
  }

  /** Takes the end: an event that lacks only its blank line still counts, as servers forget it. */
  end(): void {
    this.#readLines(`${this.#takeRest()}\n\n`);
  }

  /** The line that has begun, and what follows it, as text. */
  #takeRest(following: Buffer = Buffer.alloc(0)): string {
    if (this.#rest.length === 0) return following.toString('utf8');
    const all = Buffer.concat([...this.#rest, following]);
    this.#rest = [];
    this.#restLength = 0;
    return all.toString('utf8');
  }

  #readLines(text: string): void {
    let from = !this.#started && text.startsWith('\ufeff') ? 1 : 0;
    this.#started = true;
    for (let at = text.indexOf('\n', from); at >= 0; at = text.indexOf('\n', from)) {
      const to = at > from && text.charCodeAt(at - 1) === 0x0d ? at - 1 : at;
      if (to === from) this.#dispatch();
      else this.#readField(text, from, to);
      from = at + 1;
    }
  }

  #readField(text: string, from: number, to: number): void {
    if (text.startsWith('data:', from)) {
      const data = text.slice(text.charAt(from + 5) === ' ' ? from + 6 : from + 5, to);
      this.#data = this.#data === undefined ? data : `${this.#data}\n${data}`;
    } else if (text.startsWith('event:', from)) {
      this.#name = text.slice(from + 6, to).trim();
    }
  }

  #dispatch(): void {
    const [name, data] = [this.#name, this.#data];
    this.#name = '';
    this.#data = undefined;
    if (data !== undefined) this.#onEvent(name, data);
  }
}
