import type { SeenTurn } from './seen-turn.ts';

/** What a scenario found out. */
export interface Outcome {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly notes: readonly string[];
  /** What is lost, doubled or out of order, what failed, and what is left over: nothing of this may be. */
  readonly faults: readonly string[];
  /** What is above the wanted figures. In the short form, it decides nothing: the machine does other work. */
  readonly slow: readonly string[];
}

/** What is wrong with what the readers of turns saw. */
export function listFaults(turns: readonly SeenTurn[]): string[] {
  return turns.flatMap(({ readers }) => readers.flatMap(({ faults, errors }) => [...faults, ...errors]));
}

/** Milliseconds, for a table. */
export const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
export const seconds = (value: number) => `${(value / 1000).toFixed(1)} s`;
export const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
