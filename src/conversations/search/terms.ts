import { createHash } from 'node:crypto';
import type { Viewer } from '../../auth/viewer.ts';

// The words of a text, in whatever language. PostgreSQL's own parsers know no unaccent here (the embedded database has none),
// and take a line of Chinese for one word, so words are made before they are stored: the same way for texts and searches.

/** Longer words are cut, in texts and in searches. */
const maxWordLength = 64;
/** What is stored of one text: PostgreSQL refuses more than a megabyte. */
const maxIndexBytes = 600_000;
/** PostgreSQL counts positions up to this one, and keeps so many of each word. */
const maxPosition = 16_383;
const maxPositionsPerWord = 64;
/** Words of a search that count. */
const maxTerms = 32;

/** Letters that have no decomposition, as they are written without their marks. */
const plainLetters: ReadonlyMap<string, string> = new Map(
  Object.entries({ ß: 'ss', ø: 'o', ł: 'l', đ: 'd', ð: 'd', ı: 'i', æ: 'ae', œ: 'oe', þ: 'th', ς: 'σ' }),
);

/** Scripts that are written without spaces between words, or with endings on them (Korean). */
const unspaced =
  /^[\p{Script=Han}\p{scx=Hira}\p{scx=Kana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u;
const words = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu;

/** A text in lower case, without accents, and with the usual form of each character. */
export function fold(text: string): string {
  const plain = text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .normalize('NFC')
    .toLowerCase()
    // What lower case has added: `İ` becomes `i` with a dot above.
    .replace(/[\u0300-\u036f]/g, '');
  return plain.replace(/[ßøłđðıæœþς]/g, (letter) => plainLetters.get(letter) ?? letter);
}

/** A piece of a text that is searched as one: a word, or a run of characters of an unspaced script. */
export interface Piece {
  readonly text: string;
  readonly isUnspaced: boolean;
  readonly start: number;
  readonly end: number;
}

/** The pieces of a text, where they stand in it. */
export function* readPieces(text: string): Generator<Piece, void> {
  for (const { 0: word, index } of text.matchAll(words)) {
    let start = index;
    let current = '';
    let isUnspaced = false;
    for (const character of word) {
      // Marks belong to the character before them.
      const other: boolean = /^\p{M}$/u.test(character) ? isUnspaced : unspaced.test(character);
      if (current !== '' && other !== isUnspaced) {
        yield { text: current, isUnspaced, start, end: start + current.length };
        start += current.length;
        current = '';
      }
      isUnspaced = other;
      current += character;
    }
    yield { text: current, isUnspaced, start, end: start + current.length };
  }
}

/** The lexeme that stands in the words of each message of a user, and in no text: words have no colon. */
export function ownerLexeme({ tenantId, userId }: Pick<Viewer, 'tenantId' | 'userId'>): string {
  const hash = createHash('sha256').update(JSON.stringify([tenantId, userId]));
  return `'u:${hash.digest('base64url').slice(0, 22)}'`;
}

/** What is stored of a message to find it: a tsvector as PostgreSQL reads it. */
export function indexText(content: string, owner: Pick<Viewer, 'tenantId' | 'userId'>): string {
  const found = new Map<string, number[]>();
  let bytes = 0;
  let position = 0;
  for (const lexeme of listLexemes(fold(content))) {
    position = Math.min(position + 1, maxPosition);
    const positions = found.get(lexeme);
    if (positions === undefined) {
      bytes += Buffer.byteLength(lexeme) + 8;
      found.set(lexeme, [position]);
    } else if (positions.length < maxPositionsPerWord && positions.at(-1) !== position) {
      bytes += 2;
      positions.push(position);
    }
    if (bytes > maxIndexBytes) break;
  }
  // No lexeme has a quote or a backslash.
  const entries = [...found].map(([lexeme, positions]) => `'${lexeme}':${positions.join(',')}`);
  return [ownerLexeme(owner), ...entries].join(' ');
}

function* listLexemes(folded: string): Generator<string, void> {
  for (const { text, isUnspaced } of readPieces(folded)) {
    if (!isUnspaced) {
      yield cut(text);
      continue;
    }
    const characters = [...text];
    for (let at = 0; at < characters.length; at++) {
      // Of the last character, alone: a search for one character looks for what begins with it.
      yield characters.slice(at, at + 2).join('');
      if (at + 3 <= characters.length) yield characters.slice(at, at + 3).join('');
    }
  }
}

/** A search, as it is compared with texts. */
export interface SearchTerms {
  /** A tsquery: all of them. */
  readonly query: string;
  /** What to mark in a text. */
  readonly pieces: readonly (Pick<Piece, 'text' | 'isUnspaced'> & { readonly isPrefix: boolean })[];
}

/**
 * The words of a search: a text has to have all of them, in any order. The last word may be the beginning of one.
 * @returns null: there are none
 */
export function readTerms(search: string): SearchTerms | null {
  const folded = fold(search);
  const pieces = [...readPieces(folded)].slice(0, maxTerms).map(({ text, isUnspaced, end }) => ({
    text: isUnspaced ? text : cut(text),
    isUnspaced,
    isPrefix: !isUnspaced && (end === folded.length || [...text].length > maxWordLength),
  }));
  const lexemes = pieces.flatMap(({ text, isUnspaced, isPrefix }) =>
    isUnspaced ? listQueried([...text].slice(0, maxWordLength)) : [`'${text}'${isPrefix ? ':*' : ''}`],
  );
  return lexemes.length === 0 ? null : { query: [...new Set(lexemes)].join(' & '), pieces };
}

/** Of a run of three and more characters, each three that follow each other: hardly a text has them apart from each other. */
function listQueried(characters: readonly string[]): string[] {
  if (characters.length === 1) return [`'${characters.join('')}':*`];
  if (characters.length === 2) return [`'${characters.join('')}'`];
  return characters.slice(2).map((_last, at) => `'${characters.slice(at, at + 3).join('')}'`);
}

function cut(word: string): string {
  return word.length <= maxWordLength ? word : [...word].slice(0, maxWordLength).join('');
}
