/** What is told of a stream of events, as it is read. */
interface EventFields {
  /** A piece of the data of the event that is being read. */
  readonly onData: (piece: Buffer) => void;
  /** The event has ended. @param name what the stream calls it; empty: it has no name */
  readonly onEnd: (name: string) => void;
}

const lineFeed = 0x0a;
const colon = 0x3a;
/** Between two lines of data: as good as a line feed in JSON. */
const blank = Buffer.from(' ');
/** The names of fields and events are shorter; what follows is not kept. */
const maxNameLength = 64;

/**
 * Cuts the bytes of server-sent events into fields (https://html.spec.whatwg.org/#event-stream-interpretation; lines end
 * with LF or CRLF). Data is passed on as it arrives, with the blanks around it: an event of any length needs no memory
 * here.
 */
export class EventFieldReader {
  readonly #fields: EventFields;
  /** What the line that is being read has; null: its colon has not come yet. */
  #field: 'data' | 'event' | 'other' | null = null;
  #fieldName = '';
  #eventName = '';
  #hasData = false;

  constructor(fields: EventFields) {
    this.#fields = fields;
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let from = 0;
    for (let at = bytes.indexOf(lineFeed); at >= 0; at = bytes.indexOf(lineFeed, from)) {
      this.#readPiece(bytes.subarray(from, at));
      this.#endLine();
      from = at + 1;
    }
    this.#readPiece(bytes.subarray(from));
  }

  #readPiece(piece: Buffer): void {
    let value = piece;
    if (this.#field === null) {
      const at = piece.indexOf(colon);
      this.#fieldName = join(this.#fieldName, at < 0 ? piece : piece.subarray(0, at));
      if (at < 0) return;
      this.#beginField();
      value = piece.subarray(at + 1);
    }
    if (this.#field === 'data') this.#fields.onData(value);
    else if (this.#field === 'event') this.#eventName = join(this.#eventName, value);
  }

  #beginField(): void {
    this.#field = this.#fieldName === 'data' || this.#fieldName === 'event' ? this.#fieldName : 'other';
    if (this.#field === 'event') this.#eventName = '';
    if (this.#field !== 'data') return;
    if (this.#hasData) this.#fields.onData(blank);
    this.#hasData = true;
  }

  #endLine(): void {
    if (this.#field === null && this.#fieldName.trim() === '') {
      if (this.#hasData) this.#fields.onEnd(this.#eventName.trim());
      this.#eventName = '';
      this.#hasData = false;
    }
    this.#field = null;
    this.#fieldName = '';
  }
}

function join(name: string, piece: Buffer): string {
  return `${name}${piece.toString('latin1', 0, maxNameLength)}`.slice(0, maxNameLength);
}
