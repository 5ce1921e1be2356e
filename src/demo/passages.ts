import { z } from 'zod';
import type { RequestedCall } from '../engine/ports.ts';
import { stemsOf } from './intents.ts';

const result = z.looseObject({
  passages: z.array(z.looseObject({ number: z.int(), title: z.string(), text: z.string() })),
});

/** Passages that one answer repeats, at most. */
const maxPassages = 2;

/**
 * What the demo model says of the passages that a search has returned: the sentences that share the most words with the
 * question, each with the number by which it is cited.
 * @returns undefined: it is the result of another tool
 */
export function describePassages(
  { call, output }: { readonly call: RequestedCall; readonly output: string },
  question: string,
): string | undefined {
  if (call.name !== 'search_knowledge') return undefined;
  const asked = stemsOf(question);
  const sentences = readPassages(output).flatMap(({ number, title, text }) => {
    const best = splitSentences(text)
      .map((sentence) => ({ sentence, shared: [...stemsOf(sentence).keys()].filter((stem) => asked.has(stem)).length }))
      .reduce((chosen, next) => (next.shared > chosen.shared ? next : chosen), { sentence: '', shared: 0 });
    return best.shared === 0 ? [] : [{ ...best, number, title }];
  });
  // Sorting keeps the order of the search among equally good ones.
  const chosen = sentences.sort((a, b) => b.shared - a.shared).slice(0, maxPassages);
  if (chosen.length === 0) return 'I have searched the knowledge bases, and found nothing that answers this.';
  return chosen.map(({ title, sentence, number }) => `“${title}” says: ${sentence} [${number}]`).join(' ');
}

/** Whether something was found: the text says where. */
export function isCited(text: string): boolean {
  return /\[\d+\]$/.test(text);
}

function readPassages(output: string) {
  try {
    return result.safeParse(JSON.parse(output)).data?.passages ?? [];
  } catch {
    return [];
  }
}

/** The sentences of a passage, without what delimits it. */
function splitSentences(text: string): string[] {
  const lines = text.split('\n').filter((line) => line.startsWith('| '));
  const plain = lines.map((line) => line.slice(2)).join(' ');
  return (plain.match(/[^.!?]+[.!?]*/gu) ?? [])
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '');
}
