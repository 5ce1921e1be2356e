import type { Chunk } from './chunk.ts';

/** Words of one document that are collected at most. */
const maxWords = 20_000;

/** The different words of 3 to 40 letters and digits, in lower case and in order. */
export function collectWords(chunks: readonly Pick<Chunk, 'headings' | 'text'>[]): string[] {
  const words = new Set<string>();
  for (const { headings, text } of chunks) {
    for (const [word] of [...headings, text].join(' ').matchAll(/[\p{L}\p{N}]+/gu)) {
      if (word.length < 3 || word.length > 40 || /^\p{N}+$/u.test(word)) continue;
      words.add(word.toLowerCase());
      if (words.size >= maxWords) return [...words].sort();
    }
  }
  return [...words].sort();
}
