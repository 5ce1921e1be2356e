import { deserializeMessage } from '@modelcontextprotocol/sdk/shared/stdio.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { maxListBytes } from './config.ts';
import { describeTooLong } from './failures.ts';

/** How much of the beginning and of the end of a longer line is stored: the id of its request is in one of them. */
const edgeBytes = 1_024;
const lineEnd = 0x0a;

/**
 * Cuts the output of a server into messages, one on each line. A line that is too long is skipped and not stored, and its
 * request gets an error: other requests over the same connection are not affected.
 */
export class MessageLines {
  readonly #maxAnswerBytes: number;
  /** The pending requests that are not calls: their answers may be longer. */
  readonly #lists = new Set<unknown>();
  readonly #ready: (string | JSONRPCMessage)[] = [];
  #pieces: Buffer[] = [];
  #size = 0;
  #tail = Buffer.alloc(0);

  /** @param maxAnswerBytes the maximum size of an answer to a call, and of any other message that is not a list */
  constructor(maxAnswerBytes: number) {
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /** Must be called with each message before it is sent. */
  noteSent(message: JSONRPCMessage): void {
    if (!('method' in message)) return;
    if (message.method === 'notifications/cancelled') this.#lists.delete(message.params?.requestId);
    else if ('id' in message && message.method !== 'tools/call') this.#lists.add(message.id);
  }

  append(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(lineEnd); at >= 0; at = chunk.indexOf(lineEnd, from)) {
      this.#grow(chunk.subarray(from, at));
      this.#endLine();
      from = at + 1;
    }
    this.#grow(chunk.subarray(from));
  }

  /** @throws {SyntaxError} or a ZodError for a line that is not a message; the line is then removed */
  readMessage(): JSONRPCMessage | null {
    const next = this.#ready.shift();
    if (next === undefined) return null;
    const message = typeof next === 'string' ? deserializeMessage(next) : next;
    if (!('method' in message)) this.#lists.delete(message.id);
    return message;
  }

  /** The line that has begun, without its end; it is skipped. */
  takeOpen(): string {
    const text = Buffer.concat(this.#pieces).toString('utf8');
    this.#startLine();
    return text;
  }

  clear(): void {
    this.#ready.length = 0;
    this.#startLine();
  }

  #grow(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#size += piece.length;
    if (this.#size <= this.#longest) {
      this.#pieces.push(piece);
      return;
    }
    if (this.#tail.length === 0) {
      const kept = Buffer.concat(this.#pieces);
      this.#pieces = [Buffer.from(Buffer.concat([kept, piece]).subarray(0, edgeBytes))];
      this.#tail = Buffer.from(kept.subarray(-edgeBytes));
    }
    this.#tail = Buffer.from(Buffer.concat([this.#tail, piece.subarray(-edgeBytes)]).subarray(-edgeBytes));
  }

  get #longest(): number {
    return Math.max(this.#maxAnswerBytes, maxListBytes);
  }

  #endLine(): void {
    const text = Buffer.concat(this.#pieces).toString('utf8').replace(/\r$/, '');
    if (this.#size <= this.#maxAnswerBytes) this.#ready.push(text);
    else {
      const cut = this.#size > this.#longest;
      const tail = cut ? this.#tail.toString('utf8') : text.slice(-edgeBytes);
      const id = findId(text.slice(0, edgeBytes), tail);
      const isList = this.#lists.has(id);
      const error = { code: -32_603, message: describeTooLong(isList ? this.#longest : this.#maxAnswerBytes) };
      if (isList && !cut) this.#ready.push(text);
      else if (id !== null) this.#ready.push({ jsonrpc: '2.0', id, error });
    }
    this.#startLine();
  }

  #startLine(): void {
    this.#pieces = [];
    this.#size = 0;
    this.#tail = Buffer.alloc(0);
  }
}

/** Finds the id of a message from its beginning and end. Our ids are numbers; quotes inside a text are escaped. */
function findId(head: string, tail: string): number | null {
  const first = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,/.exec(head);
  const last = /,\s*"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/.exec(tail);
  const digits = first?.[1] ?? last?.[1];
  return digits === undefined ? null : Number(digits);
}
