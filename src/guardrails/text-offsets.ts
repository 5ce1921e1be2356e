/** The end of a sentence, with the space that shows that it is one; or the end of a line. */
const sentenceEnd = /[.!?…]["'”’»)\]]*\s|[。！？｡]|\n/g;

/**
 * Where the last whole sentence of a text ends.
 * @param from the offset from which on it is searched for
 * @returns an offset in UTF-16 code units; `from` if no sentence ends after it
 */
export function findSentenceEnd(text: string, from: number): number {
  let end = from;
  for (const match of text.slice(from).matchAll(sentenceEnd)) end = from + match.index + match[0].length;
  return end;
}

/** An offset that does not split a surrogate pair. */
export function keepPairs(text: string, offset: number): number {
  const code = offset > 0 && offset < text.length ? text.charCodeAt(offset - 1) : 0;
  return code >= 0xd800 && code <= 0xdbff ? offset - 1 : offset;
}

/** The beginning of the word at an offset, so that no part of a word is taken for one. */
export function findWordStart(text: string, offset: number): number {
  if (offset <= 0) return 0;
  const space = /\s\S*$/.exec(text.slice(Math.max(0, offset - 256), offset));
  return space ? Math.max(0, offset - space[0].length) : keepPairs(text, offset);
}
