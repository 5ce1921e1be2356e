import { deserializeMessage } from '@modelcontextprotocol/sdk/shared/stdio.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';

/** The most bytes of one message over a pipe. */
const maxLineBytes = 4 * 1024 * 1024;
/** What is kept of the beginning and of the end of a longer one: the id of its request stands there. */
const edgeBytes = 1_024;
const lineEnd = 0x0a;

/**
 * What a process has written, cut into messages. A line that is too long is passed over and not kept, and whoever waits
 * for it is answered with an error: the others that share the process go on.
 */
export class MessageLines {
  readonly #ready: (string | JSONRPCMessage)[] = [];
  #pieces: Buffer[] = [];
  #size = 0;
  #tail = Buffer.alloc(0);

  append(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(lineEnd); at >= 0; at = chunk.indexOf(lineEnd, from)) {
      this.#grow(chunk.subarray(from, at));
      this.#endLine();
      from = at + 1;
    }
    this.#grow(chunk.subarray(from));
  }

  /** @throws {SyntaxError} or a ZodError for a line that is no message; it is gone then */
  readMessage(): JSONRPCMessage | null {
    const next = this.#ready.shift();
    if (next === undefined) return null;
    return typeof next === 'string' ? deserializeMessage(next) : next;
  }

  clear(): void {
    this.#ready.length = 0;
    this.#startLine();
  }

  #grow(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#size += piece.length;
    if (this.#size <= maxLineBytes) {
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

  #endLine(): void {
    const text = Buffer.concat(this.#pieces).toString('utf8').replace(/\r$/, '');
    if (this.#size <= maxLineBytes) this.#ready.push(text);
    else {
      const id = findId(text, this.#tail.toString('utf8'));
      const error = { code: -32_603, message: 'The answer of the MCP server was too long.' };
      if (id !== null) this.#ready.push({ jsonrpc: '2.0', id, error });
    }
    this.#startLine();
  }

  #startLine(): void {
    this.#pieces = [];
    this.#size = 0;
    this.#tail = Buffer.alloc(0);
  }
}

/** The id of a message of which only the edges are known; ours are numbers. In a text inside, its quotes are escaped. */
function findId(head: string, tail: string): number | null {
  const first = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,/.exec(head);
  const last = /,\s*"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/.exec(tail);
  const digits = first?.[1] ?? last?.[1];
  return digits === undefined ? null : Number(digits);
}
