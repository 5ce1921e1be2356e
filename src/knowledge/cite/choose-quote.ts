/** Characters of a quote, at most. */
const maxQuoteLength = 300;

/**
 * The part of a passage that answers a question best: the sentence that shares the most words with it, and what fits in
 * around it.
 * @returns at most 300 characters, of whole words if it is cut; null bytes and lone surrogates are not in it
 */
export function chooseQuote(text: string, query: string): string {
  const whole = squeeze(text);
  if (whole.length <= maxQuoteLength) return whole;
  const asked = stemsOf(query);
  const sentences = [...sentenceEnds.segment(whole)].map(({ segment, index }) => {
    const found = new Set([...stemsOf(segment)].filter((stem) => asked.has(stem)));
    return { index, length: segment.length, score: found.size };
  });
  const best = sentences.reduce((chosen, next) => (next.score > chosen.score ? next : chosen), {
    index: 0,
    length: 0,
    score: 0,
  });
  let from = best.index;
  let to = Math.min(from + best.length, from + maxQuoteLength);
  const chosen = sentences.findIndex(({ index }) => index === best.index);
  // What follows first: it explains more often than what stands before.
  for (const next of sentences.slice(chosen + 1)) {
    if (next.index + next.length - from > maxQuoteLength) break;
    to = next.index + next.length;
  }
  for (const before of sentences.slice(0, Math.max(0, chosen)).reverse()) {
    if (to - before.index > maxQuoteLength) break;
    from = before.index;
  }
  return cutAtWord(whole.slice(from), to - from).trim();
}

const sentenceEnds = new Intl.Segmenter('en', { granularity: 'sentence' });

function squeeze(text: string): string {
  return text.toWellFormed().replaceAll('\0', '').replaceAll(/\s+/gu, ' ').trim();
}

/** The beginning of a text, up to the end of a word. */
function cutAtWord(text: string, length: number): string {
  const cut = text.slice(0, length).toWellFormed();
  if (/^\s|^$/u.test(text.slice(length)) || /\s$/u.test(cut)) return cut;
  const end = cut.search(/\s\S*$/u);
  // One word of 300 characters has no better end.
  return end > length / 2 ? cut.slice(0, end) : cut.replace(/\ufffd$/u, '');
}

/** The words of a text without their endings, as far as that matters for telling whether two texts share some. */
function stemsOf(text: string): Set<string> {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [];
  return new Set(words.map((word) => word.replace(/(?:ing|ed|es|s)$/u, '').slice(0, 8)));
}
