import type { Share } from './chart.tsx';
import type { Counts } from './days.ts';

/** Adds up the counts of all that have a name, the most tokens first. */
export function sumByAgent(runs: readonly (Counts & { readonly name: string | undefined })[]): readonly Share[] {
  const sums = new Map<string, Share>();
  for (const { name = 'nobody', modelCalls, inputTokens, outputTokens } of runs) {
    const sum = sums.get(name) ?? { name, modelCalls: 0, inputTokens: 0, outputTokens: 0 };
    sums.set(name, {
      name,
      modelCalls: sum.modelCalls + modelCalls,
      inputTokens: sum.inputTokens + inputTokens,
      outputTokens: sum.outputTokens + outputTokens,
    });
  }
  return [...sums.values()].toSorted((a, b) => b.inputTokens + b.outputTokens - (a.inputTokens + a.outputTokens));
}
