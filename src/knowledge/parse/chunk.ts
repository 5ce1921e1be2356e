import { createHash } from 'node:crypto';
import { type Block, UnreadableDocumentError } from './block.ts';

/** The characters of a chunk: those it is filled to, and those it has at most. */
const fullCharacters = 1_200;
const maxCharacters = 2_000;
/** The end of a chunk that the next one of its section begins with. */
const overlapCharacters = 200;
const maxHeadings = 6;
const maxHeadingCharacters = 300;

/** A passage of a document, as it is searched and cited. */
export interface Chunk {
  /** The headings above it, the highest first. */
  readonly headings: readonly string[];
  readonly text: string;
  /** SHA-256 of the headings and the text, in hexadecimal digits. */
  readonly contentHash: string;
}

/** A piece of a block that fits into a chunk; `glue` is what stands between it and what is before it. */
interface Piece {
  readonly text: string;
  readonly glue: string;
  /** Whether its end may be repeated in the next chunk. */
  readonly repeats: boolean;
}

/**
 * Divides a document into chunks along its structure: a heading begins a new one, paragraphs, tables and code are kept
 * whole if they fit; a divided table repeats its head. What follows in the same section begins with the end of the chunk
 * before it, so that no sentence is cut from its context.
 * @throws {UnreadableDocumentError} if it has no text, or too many chunks
 */
export function chunkBlocks(blocks: Iterable<Block>, maxChunks: number): Chunk[] {
  const chunks: Chunk[] = [];
  const path: { readonly level: number; readonly text: string }[] = [];
  let text = '';
  let overlap = '';
  const end = () => {
    if (text.trim() !== '' && text !== overlap) {
      if (chunks.length >= maxChunks)
        throw new UnreadableDocumentError(`The document is too long: it has more than ${maxChunks} passages.`);
      chunks.push(toChunk(path, text.trim()));
    }
    text = '';
  };
  for (const block of blocks) {
    if (block.kind === 'heading') {
      end();
      overlap = '';
      while ((path.at(-1)?.level ?? 0) >= block.level) path.pop();
      path.push({ level: block.level, text: cut(block.text, maxHeadingCharacters) });
      continue;
    }
    for (const piece of divide(block)) {
      const isFull = text !== overlap && text.length + piece.text.length > fullCharacters;
      if (isFull) {
        const before = text;
        end();
        overlap = piece.repeats ? endOf(before) : '';
        text = overlap;
      }
      if (text.length + piece.glue.length + piece.text.length > maxCharacters) text = overlap = '';
      text += (text === '' ? '' : piece.glue) + piece.text;
    }
  }
  end();
  if (chunks.length === 0) throw new UnreadableDocumentError('The document has no text.');
  return chunks;
}

function toChunk(path: readonly { readonly text: string }[], text: string): Chunk {
  const headings = path.slice(-maxHeadings).map((heading) => heading.text);
  const contentHash = createHash('sha256')
    .update(JSON.stringify([headings, text]))
    .digest('hex');
  return { headings, text, contentHash };
}

function* divide(block: Exclude<Block, { kind: 'heading' }>): Generator<Piece> {
  if (block.kind === 'table') return yield* divideTable(block.rows);
  if (block.text.length <= maxCharacters)
    return yield { text: block.text, glue: '\n\n', repeats: block.kind === 'paragraph' };
  const isCode = block.kind === 'code';
  const parts = isCode ? block.text.split(/(?<=\n)/) : block.text.split(/(?<=[.!?…。！？]["”’)]?\s)|(?<=\n)/);
  let isFirst = true;
  for (const part of parts) {
    for (const piece of divideLong(part)) {
      // Parts keep the space at their end.
      yield { text: piece, glue: isFirst ? '\n\n' : '', repeats: !isCode };
      isFirst = false;
    }
  }
}

function* divideTable(rows: readonly string[]): Generator<Piece> {
  const [head = '', ...body] = rows.map((row) => cut(row, fullCharacters / 2));
  let text = head;
  for (const row of body) {
    if (text.length + row.length + 1 > fullCharacters) {
      yield { text, glue: '\n\n', repeats: false };
      text = head;
    }
    text += `\n${row}`;
  }
  yield { text, glue: '\n\n', repeats: false };
}

/** Pieces of a text without ends of sentences: at spaces, else anywhere. */
function* divideLong(text: string): Generator<string> {
  for (let from = 0; from < text.length; ) {
    let to = Math.min(text.length, from + fullCharacters);
    if (to < text.length) {
      // Not looked for beyond: the text may be one word of many megabytes.
      const space = text.slice(from + fullCharacters / 2, to).lastIndexOf(' ');
      if (space >= 0) to = from + fullCharacters / 2 + space + 1;
      else if (isHighSurrogate(text, to - 1)) to -= 1;
    }
    yield text.slice(from, to);
    from = to;
  }
}

/** The end of a chunk, from the beginning of a sentence or a word on; empty: it is one word. */
function endOf(text: string): string {
  const end = text.slice(-overlapCharacters);
  const sentence = /[.!?…。！？]["”’)]?\s+(?=\S)/.exec(end);
  if (sentence !== null) return end.slice(sentence.index + sentence[0].length);
  const space = end.indexOf(' ');
  return space < 0 ? '' : end.slice(space + 1);
}

function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  return text.slice(0, isHighSurrogate(text, length - 1) ? length - 1 : length);
}

function isHighSurrogate(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0xd800 && code <= 0xdbff;
}
