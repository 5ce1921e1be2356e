import type { Memory, ProcessName, World } from './world.ts';

/** One step of one actor: a statement or a transaction of a transition, or something that happens to a process. */
export interface Move {
  /** For the path to a fault. */
  readonly name: string;
  /** The file of src/runs/transitions that changes the status or the lease of a run in it; null: none does. */
  readonly file: string | null;
  /** The run that the process writes as its owner. */
  readonly asOwner: { readonly process: ProcessName; readonly number: number } | null;
  readonly make: (world: World, memory: Memory) => Promise<void>;
}

/** What can go wrong. */
export type AccidentKind = 'crashes' | 'stalls' | 'lostAnswers' | 'releases' | 'cancels';

/** Whether it may still go wrong on this path. */
export function canFail({ budget }: Memory, kind: AccidentKind): boolean {
  return budget.total > 0 && budget[kind] > 0;
}

/** Notes that it went wrong. */
export function spend({ budget }: Memory, kind: AccidentKind): void {
  budget.total -= 1;
  budget[kind] -= 1;
}
