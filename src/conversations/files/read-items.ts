import { setImmediate } from 'node:timers/promises';
import { jsonParser, type Token } from 'stream-json/parser.js';

/** The largest conversation of a file, in characters, and how deep it may be nested. */
const maxCharacters = 20_000_000;
const maxDepth = 110;
/** The longest name or value beside the conversations. */
const maxHeaderCharacters = 1_000;
/** Bytes that are read in one turn of the event loop. */
const pieceBytes = 65_536;

/** What stands in a file: a conversation, one that cannot be read with the reason, or a value beside the conversations. */
export type FileItem =
  | { readonly kind: 'conversation'; readonly value: unknown }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | { readonly kind: 'header'; readonly key: string; readonly value: unknown };

/** The file is not what it should be from here on. The message ends a sentence about the file. */
export class UnreadableFileError extends Error {
  override readonly name = 'UnreadableFileError';
}

/**
 * Reads a file piece by piece: one conversation at a time is in memory as an object. The file is a list of conversations, or an
 * object with one under `conversations`, and several of them can follow each other.
 * @throws {UnreadableFileError} if it is not UTF-8, not JSON, or something else than conversations
 */
export async function* readItems(data: Buffer): AsyncGenerator<FileItem> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parse = jsonParser({ packValues: true, streamValues: false, jsonStreaming: true });
  const items = new ItemReader();
  for (let at = 0; at < data.length; at += pieceBytes) {
    const isLast = at + pieceBytes >= data.length;
    for (const token of parsePiece(parse, decoder, data.subarray(at, at + pieceBytes), isLast)) {
      const item = items.take(token);
      if (item !== null) yield item;
    }
    await setImmediate();
  }
  if (!items.isComplete) throw new UnreadableFileError('is not whole JSON: it was cut off');
}

function parsePiece(
  parse: ReturnType<typeof jsonParser>,
  decoder: TextDecoder,
  piece: Buffer,
  isLast: boolean,
): readonly Token[] {
  let text: string;
  try {
    text = decoder.decode(piece, { stream: !isLast });
  } catch {
    throw new UnreadableFileError('is not text in UTF-8');
  }
  try {
    const tokens = parse(text);
    return typeof tokens === 'object' ? tokens.values : [];
  } catch {
    throw new UnreadableFileError('is not JSON');
  }
}

type Container = { readonly list: unknown[] } | { readonly fields: Map<string, unknown>; key: string };

/** Makes items of the tokens of a file. */
class ItemReader {
  /** How many containers around the current token are open: the file itself, and the list of conversations in it. */
  #outer = 0;
  #outerKey = '';
  #isObject = false;
  #roots = 0;
  /** Of the current item: its open containers, the characters of its values, and why it cannot be read. */
  #open: Container[] = [];
  #depth = 0;
  #characters = 0;
  #reason: string | null = null;

  /** Whether all that was opened is closed, and something was. */
  get isComplete(): boolean {
    return this.#roots > 0 && this.#outer === 0 && this.#depth === 0;
  }

  /** @returns the item that ends with this token; null: none does */
  take(token: Token): FileItem | null {
    switch (token.name) {
      case 'startObject':
      case 'startArray':
        return this.#begin(token.name === 'startArray');
      case 'endObject':
      case 'endArray':
        return this.#end();
      case 'keyValue':
        this.#setKey(token.value);
        return null;
      case 'numberValue':
        return this.#add(Number(token.value), token.value.length);
      case 'stringValue':
        return this.#add(token.value, token.value.length);
      case 'nullValue':
      case 'trueValue':
      case 'falseValue':
        return this.#add(token.value, 5);
      default:
        return null;
    }
  }

  /** Whether the current token stands in the list of conversations. */
  get #isInList(): boolean {
    return this.#isObject ? this.#outer === 2 : this.#outer === 1;
  }

  #begin(isList: boolean): FileItem | null {
    if (this.#depth === 0 && this.#outer === 0) {
      this.#outer = 1;
      this.#roots += 1;
      this.#isObject = !isList;
      return null;
    }
    if (this.#depth === 0 && this.#isObject && this.#outer === 1 && isList && this.#outerKey === 'conversations') {
      this.#outer = 2;
      return null;
    }
    this.#depth += 1;
    this.#count(2);
    if (this.#depth > maxDepth) this.#reason ??= `it is nested deeper than ${maxDepth}`;
    if (this.#reason === null) this.#open.push(isList ? { list: [] } : { fields: new Map(), key: '' });
    return null;
  }

  #end(): FileItem | null {
    if (this.#depth === 0) {
      this.#outer -= 1;
      return null;
    }
    this.#depth -= 1;
    if (this.#reason !== null) return this.#depth === 0 ? this.#finish(null) : null;
    const closed = this.#open.pop();
    // Own properties alone: a key such as __proto__ is a key like any other.
    const value = closed === undefined ? null : 'list' in closed ? closed.list : Object.fromEntries(closed.fields);
    return this.#place(value);
  }

  #setKey(key: string): void {
    if (this.#depth === 0) {
      if (key.length > maxHeaderCharacters) throw new UnreadableFileError('has too long a name in it');
      this.#outerKey = key;
      return;
    }
    this.#count(key.length);
    const container = this.#open.at(-1);
    if (container !== undefined && 'fields' in container) container.key = key;
  }

  #add(value: unknown, characters: number): FileItem | null {
    if (this.#depth === 0 && this.#outer === 0) throw new UnreadableFileError('is not a list of conversations');
    this.#count(characters);
    if (this.#reason !== null) return this.#depth === 0 ? this.#finish(null) : null;
    return this.#place(value);
  }

  #place(value: unknown): FileItem | null {
    if (this.#depth === 0) return this.#finish(value);
    const container = this.#open.at(-1);
    if (container === undefined) return null;
    if ('list' in container) container.list.push(value);
    else container.fields.set(container.key, value);
    return null;
  }

  #count(characters: number): void {
    this.#characters += characters + 1;
    if (this.#characters <= maxCharacters || this.#reason !== null) return;
    this.#reason = `it has more than ${maxCharacters / 1_000_000} million characters`;
    this.#open = [];
  }

  #finish(value: unknown): FileItem {
    const reason = this.#reason;
    this.#open = [];
    this.#characters = 0;
    this.#reason = null;
    if (!this.#isInList) return { kind: 'header', key: this.#outerKey, value: reason === null ? value : null };
    return reason === null ? { kind: 'conversation', value } : { kind: 'unreadable', reason };
  }
}
