import { fold, readPieces, type SearchTerms } from './terms.ts';

/** Around each hit in a snippet: characters of a private use area, so that nothing in it is markup. */
const hitStart = '\uE000';
const hitEnd = '\uE001';

/** Characters of the text in a snippet. */
const snippetLength = 240;
/** Characters before the first hit. */
const lead = 60;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** The part of a text around its first hit, on one line, with each hit between U+E000 and U+E001 and `…` where the text goes on. */
export function makeSnippet(content: string, terms: SearchTerms): string {
  const text = content.replace(/[\uE000\uE001]/g, ' ');
  const hits = findHits(text, terms);
  const first = hits[0]?.start ?? 0;
  const start = first <= lead ? 0 : wholeCharacter(text, wordAfter(text, first - lead, first));
  const end = wholeCharacter(text, Math.min(text.length, start + snippetLength));
  let marked = '';
  let at = start;
  for (const hit of hits) {
    if (hit.start < at || hit.start >= end) continue;
    const stop = Math.min(hit.end, end);
    marked += `${text.slice(at, hit.start)}${hitStart}${text.slice(hit.start, stop)}${hitEnd}`;
    at = stop;
  }
  const body = (marked + text.slice(at, end)).replace(/\s+/gu, ' ').trim();
  return `${start > 0 ? '…' : ''}${body}${end < text.length ? '…' : ''}`;
}

/** Where a text has the words of a search, in order and apart from each other. */
function findHits(text: string, { pieces }: SearchTerms): readonly Range[] {
  const hits: Range[] = [];
  const wanted = pieces.filter(({ isUnspaced }) => !isUnspaced);
  const runs = pieces.filter(({ isUnspaced }) => isUnspaced).map((piece) => piece.text);
  for (const piece of readPieces(text)) {
    if (!piece.isUnspaced) {
      const folded = fold(piece.text);
      const isHit = wanted.some(({ text: word, isPrefix }) => (isPrefix ? folded.startsWith(word) : folded === word));
      if (isHit) hits.push({ start: piece.start, end: piece.end });
      continue;
    }
    // Each character has one in its usual form, but for those that are written in two halves.
    const characters = [...piece.text];
    const folded = characters.map(fold);
    let start = piece.start;
    for (let at = 0; at < characters.length; at++) {
      const run = runs.find((wantedRun) => folded.slice(at, at + [...wantedRun].length).join('') === wantedRun);
      const length = run === undefined ? 0 : characters.slice(at, at + [...run].length).join('').length;
      const last = hits.at(-1);
      if (length > 0 && last !== undefined && last.end >= start) {
        hits[hits.length - 1] = { start: last.start, end: Math.max(last.end, start + length) };
      } else if (length > 0) hits.push({ start, end: start + length });
      start += characters[at]?.length ?? 0;
    }
  }
  return hits;
}

/** Where a word begins between two places; the first of them, if none does. */
function wordAfter(text: string, from: number, before: number): number {
  const space = text.slice(from, before).search(/\s\S/u);
  return space === -1 ? from : from + space + 1;
}

/** Not between the halves of a character. */
function wholeCharacter(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return at > 0 && code >= 0xdc00 && code <= 0xdfff ? at - 1 : at;
}
