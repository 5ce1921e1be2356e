import { detect } from 'chardet';
import { UnreadableDocumentError } from './block.ts';

/** Bytes in which the character set is looked for: detecting takes time by the length. */
const detectedBytes = 64 * 1024;
/** The part of a text that may be control characters: more, and it is no text. */
const maxControls = 0.02;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is counted
const controls = /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]/g;

/**
 * The text of a file: in the character set that it declares, in UTF-8 or UTF-16 by its first bytes, or in the one that it
 * most likely has.
 * @param mediaType that may name a charset
 * @throws {UnreadableDocumentError} if it is no text
 */
export function decodeText(data: Uint8Array, mediaType: string): string {
  const text = decode(data, mediaType).replace(/^\ufeff/, '');
  const sample = text.slice(0, detectedBytes);
  const found = sample.match(controls)?.length ?? 0;
  if (found > sample.length * maxControls)
    throw new UnreadableDocumentError('The file is not a text: it contains binary data.');
  return cleanText(text);
}

/** A text without what the database does not store, and nobody reads: control characters, and halves of surrogate pairs. */
export function cleanText(text: string): string {
  return text.replaceAll(controls, '').toWellFormed();
}

function decode(data: Uint8Array, mediaType: string): string {
  const [, declared] = /charset\s*=\s*"?([\w.:-]+)/i.exec(mediaType) ?? [];
  const named = declared ?? findMetaCharset(data);
  const marked = byteOrderMark(data);
  // It leaves no doubt: a file that was cut in the middle of a character is read as well.
  if (marked !== null) return new TextDecoder(marked).decode(data);
  for (const charset of ['utf-8', named, detect(data.subarray(0, detectedBytes))]) {
    const text = charset == null ? null : tryToDecode(data, charset);
    if (text !== null) return text;
  }
  return new TextDecoder('windows-1252').decode(data);
}

function byteOrderMark(data: Uint8Array): string | null {
  if (data[0] === 0xff && data[1] === 0xfe) return 'utf-16le';
  return data[0] === 0xfe && data[1] === 0xff ? 'utf-16be' : null;
}

/** What an HTML document says in its first bytes. */
function findMetaCharset(data: Uint8Array): string | null {
  const start = Buffer.from(data.subarray(0, 1_024)).toString('latin1');
  return /<meta[^>]+charset\s*=\s*["']?([\w.:-]+)/i.exec(start)?.[1] ?? null;
}

/** Null: the charset is unknown, or the bytes are not in it. */
function tryToDecode(data: Uint8Array, charset: string): string | null {
  try {
    return new TextDecoder(charset, { fatal: true }).decode(data);
  } catch {
    return null;
  }
}
