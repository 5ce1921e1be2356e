/** Counts of tokens and model calls. */
export interface Counts {
  readonly modelCalls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** The beginnings of the last days in the person's own time, today's last. */
export function listDays(count: number, now: Date): readonly Date[] {
  const first = now.getDate() - count + 1;
  return Array.from({ length: count }, (_, index) => new Date(now.getFullYear(), now.getMonth(), first + index));
}

/** What each day adds: the count since it began without the one since the next day began. */
export function takeDays(since: readonly Counts[]): readonly Counts[] {
  return since.map((counts, index) => {
    const next = since[index + 1] ?? { modelCalls: 0, inputTokens: 0, outputTokens: 0 };
    // They are read one after the other: what came in between must not make a day less than nothing.
    const less = (key: keyof Counts) => Math.max(0, counts[key] - next[key]);
    return {
      modelCalls: less('modelCalls'),
      inputTokens: less('inputTokens'),
      outputTokens: less('outputTokens'),
    };
  });
}
