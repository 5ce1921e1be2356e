import { decodeHTML } from 'entities';

/** A text in the form in which it is matched, and the way back to the text as it was written. */
export interface NormalizedText {
  readonly original: string;
  readonly text: string;
  /**
   * The part of the original text that a part of the normalised text was made of.
   * @param start offset in `text`, in UTF-16 code units; `end` likewise, and greater
   */
  toOriginal(start: number, end: number): { readonly start: number; readonly end: number };
}

/** Most texts: nothing in them has another form. */
const plain = /^[\t\n\r\x20-\x25\x27-\x7e]*$/;

/** One entity of HTML, or what Unicode joins to one character: a base with its marks, or a syllable of Hangul. */
const unit = /&(?:#x[0-9a-f]{1,6}|#\d{1,7}|[a-z][a-z0-9]{1,31});?|[\u1100-\u11ff]+\p{M}*|\P{M}\p{M}*|\p{M}+/giu;

/** What is not visible: zero-width joiners and spaces, soft hyphens, marks of direction, variation selectors. */
const invisible = /\p{Default_Ignorable_Code_Point}/gu;

/**
 * Brings a text into the form in which guardrails match it: entities of HTML decoded, compatibility forms such as
 * full-width letters replaced (NFKC, https://unicode.org/reports/tr15/), and invisible characters left out.
 */
export function normalize(original: string): NormalizedText {
  if (plain.test(original)) return { original, text: original, toOriginal: (start, end) => ({ start, end }) };
  let text = '';
  const starts: number[] = [];
  const ends: number[] = [];
  // A mark can stand after an entity, or an invisible character within a word: both are seen after decoding.
  for (const { part, start, end } of decode(original)) {
    const normal = part.replaceAll(invisible, '').normalize('NFKC').replaceAll(invisible, '');
    for (let index = 0; index < normal.length; index++) {
      starts.push(start);
      ends.push(end);
    }
    text += normal;
  }
  return {
    original,
    text,
    toOriginal: (start, end) => ({ start: starts[start] ?? original.length, end: ends[end - 1] ?? original.length }),
  };
}

interface Part {
  readonly part: string;
  readonly start: number;
  readonly end: number;
}

/** The units of a text. Marks and invisible characters between them belong to the unit before them. */
function decode(original: string): Part[] {
  const parts: Part[] = [];
  for (const match of original.matchAll(unit)) {
    const [written] = match;
    const start = match.index;
    const end = start + written.length;
    const part = written.startsWith('&') ? decodeHTML(written) : written;
    const before = parts.at(-1);
    if (before && /^[\p{M}\p{Default_Ignorable_Code_Point}]+$/u.test(part)) {
      parts[parts.length - 1] = { part: before.part + part, start: before.start, end };
    } else {
      parts.push({ part, start, end });
    }
  }
  return parts;
}

/** An entity of HTML that the rest of the text may still complete, and a surrogate pair or a letter that it may continue. */
const openEnd = /(?:&(?:#x?[0-9a-f]*|[a-z][a-z0-9]*)?|[\ud800-\udbff])$/i;

/**
 * How much of the beginning of a text that is still being written cannot change its meaning any more.
 * @returns an offset in UTF-16 code units
 */
export function findSettledEnd(text: string): number {
  const tail = text.slice(-36);
  const open = openEnd.exec(tail);
  return text.length - (open ? tail.length - open.index : 0);
}
