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
