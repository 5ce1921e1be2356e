import { type Block, UnreadableDocumentError } from './block.ts';
import { type Chunk, chunkBlocks } from './chunk.ts';
import { cleanText, decodeText } from './decode.ts';
import { findFormat, supportedMediaTypes } from './media-types.ts';
import { readDocx } from './read-docx.ts';
import { readHtml } from './read-html.ts';
import { readMarkdown } from './read-markdown.ts';
import { readPdf } from './read-pdf.ts';
import { readText } from './read-text.ts';
import { collectWords } from './words.ts';

/** The longest text of a document, in characters. */
const maxCharacters = 10_000_000;

/** A document that was read. */
export interface ParsedDocument {
  readonly chunks: readonly Chunk[];
  /** Its different words, in lower case. */
  readonly words: readonly string[];
}

/**
 * Reads a document and divides it into chunks.
 * @param mediaType as it was given, with a charset if there is one
 * @throws {UnreadableDocumentError} if it cannot be read as it is
 */
export async function readDocument(
  data: Uint8Array,
  mediaType: string,
  { maxChunks }: { readonly maxChunks: number },
): Promise<ParsedDocument> {
  if (data.length === 0) throw new UnreadableDocumentError('The document is empty.');
  const chunks = chunkBlocks(bound(await readBlocks(data, mediaType)), maxChunks);
  return { chunks, words: collectWords(chunks) };
}

/** The text of a document, from its beginning. */
export interface DocumentText {
  readonly text: string;
  /** Whether it goes on. */
  readonly isCut: boolean;
}

/**
 * Reads the text of a document, with a blank line between its parts, and its headings marked as in Markdown.
 * @param maxCharacters no more is read
 * @returns an empty text if it has none, as a scanned page
 * @throws {UnreadableDocumentError} if it cannot be read as it is
 */
export async function readDocumentText(
  data: Uint8Array,
  mediaType: string,
  maxCharacters: number,
): Promise<DocumentText> {
  if (data.length === 0) throw new UnreadableDocumentError('The document is empty.');
  let text = '';
  for (const block of bound(await readBlocks(data, mediaType))) {
    const part = writeBlock(block);
    if (part.trim() === '') continue;
    text += (text === '' ? '' : '\n\n') + part;
    if (text.length > maxCharacters) return { text: text.slice(0, maxCharacters).toWellFormed(), isCut: true };
  }
  return { text, isCut: false };
}

function writeBlock(block: Block): string {
  if (block.kind === 'table') return block.rows.join('\n');
  return block.kind === 'heading' ? `${'#'.repeat(block.level)} ${block.text}` : block.text;
}

async function readBlocks(data: Uint8Array, mediaType: string): Promise<Iterable<Block>> {
  switch (findFormat(mediaType)) {
    case 'pdf':
      return readPdf(data);
    case 'docx':
      return readDocx(data);
    case 'html':
      return readHtml(decodeText(data, mediaType));
    case 'markdown':
      return readMarkdown(decodeText(data, mediaType));
    case 'text':
      return readText(decodeText(data, mediaType));
    case null:
      throw new UnreadableDocumentError(
        `Documents of the type ${mediaType} are not read: it must be ${supportedMediaTypes}.`,
      );
  }
}

/** Up to a length, and clean: what is inside a PDF or a DOCX was not decoded by us. */
function* bound(blocks: Iterable<Block>): Generator<Block> {
  let characters = 0;
  for (const block of blocks) {
    characters += block.kind === 'table' ? block.rows.join('').length : block.text.length;
    if (characters > maxCharacters)
      throw new UnreadableDocumentError(
        `The document is too long: it has more than ${maxCharacters.toLocaleString('en-US')} characters.`,
      );
    yield block.kind === 'table'
      ? { ...block, rows: block.rows.map(cleanText) }
      : { ...block, text: cleanText(block.text) };
  }
}
