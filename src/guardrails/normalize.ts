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

/** What an entity begins with whose ampersand is an entity itself: `&amp;#64;`. */
const doubled = '(?:(?:amp|#0{0,4}38|#x0{0,4}26);){0,5}';
/** Letters of Hangul, of full and half width: several of them become one syllable. */
const jamo = '\\u1100-\\u11ff\\u3131-\\u318e\\ua960-\\ua97f\\ud7b0-\\ud7ff\\uffa0-\\uffdc';
/** Marks, and the half-width sound marks of kana, which join the character before them. */
const mark = '\\p{M}\\uff9e\\uff9f';

/** One entity of HTML, or what Unicode joins to one character: a base with its marks, or a syllable of Hangul. */
const unit = new RegExp(
  `&${doubled}(?:#x[0-9a-f]{1,6}|#\\d{1,7}|[a-z][a-z0-9]{1,31});?|[\\uac00-\\ud7a3]?[${jamo}]+[${mark}]*|[^${mark}][${mark}]*|[${mark}]+`,
  'giu',
);

/**
 * What is not visible: zero-width joiners and spaces, soft hyphens, marks of direction, variation selectors, tags, format and
 * control characters. Tabs and ends of lines are visible.
 */
const invisible = /(?![\t\n\f\r\v\u0085])[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}]/gu;
/** Marks that belong to no script and are no part of a letter: they strike a letter through, or stand above it. */
const decoration = /(?=\p{Script=Inherited})[\p{Mn}\p{Me}]/gu;
/** Ends of lines, and what looks like a space, but is none of those that patterns know. */
const lineEnd = /[\v\u0085\p{Zl}\p{Zp}]/gu;
const blank = /[\p{Zs}\u2800]/gu;
const joins = new RegExp(`^(?:[${mark}]|${invisible.source})+$`, 'u');

/** The form of a unit in which it is matched. */
function normalizeUnit(part: string): string {
  const composed = part.replaceAll(invisible, '').normalize('NFKC').replaceAll(invisible, '');
  return composed.replaceAll(decoration, '').replaceAll(lineEnd, '\n').replaceAll(blank, ' ');
}

/**
 * Brings a text into the form in which guardrails match it: entities of HTML decoded, compatibility forms such as
 * full-width letters replaced (NFKC, https://unicode.org/reports/tr15/), and left out what is not visible, and marks that are
 * no part of a letter.
 */
export function normalize(original: string): NormalizedText {
  if (plain.test(original)) return { original, text: original, toOriginal: (start, end) => ({ start, end }) };
  let text = '';
  const starts: number[] = [];
  const ends: number[] = [];
  // A mark can stand after an entity, or an invisible character within a word: both are seen after decoding.
  for (const { part, start, end } of decode(original)) {
    const normal = normalizeUnit(part);
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

/** An entity, also if its ampersand is one. */
function decodeEntity(written: string): string {
  let decoded = written;
  for (let round = 0; round < maxDecodings && decoded.startsWith('&'); round++) {
    const next = decodeHTML(decoded);
    if (next === decoded) break;
    decoded = next;
  }
  return decoded;
}

const maxDecodings = 6;

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
    const part = written.startsWith('&') ? decodeEntity(written) : written;
    const before = parts.at(-1);
    if (before && joins.test(part)) {
      parts[parts.length - 1] = { part: before.part + part, start: before.start, end };
    } else {
      parts.push({ part, start, end });
    }
  }
  return parts;
}

/** An entity of HTML that the rest of the text may still complete, and a surrogate pair or a letter that it may continue. */
const openEnd = new RegExp(`(?:&${doubled}(?:#x?[0-9a-f]*|[a-z][a-z0-9]*)?|[\\ud800-\\udbff])$`, 'i');

/**
 * How much of the beginning of a text that is still being written cannot change its meaning any more.
 * @returns an offset in UTF-16 code units
 */
export function findSettledEnd(text: string): number {
  const tail = text.slice(-96);
  const open = openEnd.exec(tail);
  return text.length - (open ? tail.length - open.index : 0);
}
