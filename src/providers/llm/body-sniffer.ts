import { malformedAnswer, webPage } from './failures.ts';

/** Bytes of an answer that is one JSON body. */
const maxBodyBytes = 8 * 1024 * 1024;

/** Finds out by its first character what the body of an answer is: a stream of events, one JSON body, or a web page. */
export class BodySniffer {
  #kind: 'unknown' | 'events' | 'json' | 'page' = 'unknown';
  #chunks: Uint8Array[] = [];
  #length = 0;

  get isJson(): boolean {
    return this.#kind === 'json';
  }

  /**
   * Takes the next bytes.
   * @returns the bytes of a stream of events; null: it is none, or that is not known yet
   * @throws {ModelError} if the body is too large
   */
  push(chunk: Uint8Array): Uint8Array | null {
    if (this.#kind === 'events') return chunk;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length > maxBodyBytes) throw malformedAnswer();
    if (this.#kind !== 'unknown') return null;
    const start = Buffer.concat(this.#chunks).toString('latin1');
    // A byte order mark is EF BB BF, and may be incomplete.
    const first = /^(?:\u00ef(?:\u00bb(?:\u00bf)?)?)?[ \t\r\n]*([^\s\u00ef\u00bb\u00bf])/.exec(start)?.[1];
    if (first === undefined) return null;
    this.#kind = first === '{' || first === '[' ? 'json' : first === '<' ? 'page' : 'events';
    return this.#kind === 'events' ? this.#take() : null;
  }

  /**
   * Takes the end of the body.
   * @returns the JSON body as text; null: it was a stream of events
   * @throws {ModelError} if it was a web page
   */
  end(): string | null {
    if (this.#kind === 'page') throw webPage();
    if (this.#kind !== 'json') return null;
    return Buffer.from(this.#take())
      .toString('utf8')
      .replace(/^\ufeff/, '');
  }

  #take(): Uint8Array {
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [];
    return bytes;
  }
}
