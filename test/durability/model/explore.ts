import { hasEnded } from '../../../src/runs/statuses.ts';
import { findBroken } from './invariants.ts';
import { listMoves } from './moves.ts';
import { type Memory, nameState, type Rows, readRows, type World } from './world.ts';

/** A change of the status or the lease of a run, and the transition that made it. */
export interface Change {
  readonly from: string;
  readonly to: string;
  readonly file: string;
}

/** What was found. */
export interface Exploration {
  readonly states: number;
  readonly moves: number;
  /** Each change that some path makes, once, as `from → to: file`. */
  readonly changes: ReadonlySet<string>;
  /** The first path to something that must not be, one line for each move, and what is wrong with its end; null: none. */
  readonly fault: readonly string[] | null;
}

/** Names a change as a line. */
export function nameChange({ from, to, file }: Change): string {
  return `${from} → ${to}: ${file}`;
}

/**
 * Makes all moves in all orders from a state, and asserts what has to hold after each: depth first, each state once. In
 * the end, every state must have a way to one in which all runs have ended.
 */
export async function explore(world: World, memory: Memory): Promise<Exploration> {
  const seen = new Set<string>();
  const ways = new Map<string, string[]>();
  const ended: string[] = [];
  const changes = new Set<string>();
  let moves = 0;
  let fault: string[] | null = null;

  const visit = async (state: string, memory: Memory, rows: Rows, path: readonly string[]): Promise<void> => {
    seen.add(state);
    if (rows.runs.every(hasEnded) && memory.toStart.length === 0) ended.push(state);
    for (const move of listMoves(memory, rows)) {
      if (fault) return;
      moves += 1;
      await world.database.branch(async () => {
        const after = structuredClone(memory);
        const way = [...path, move.name];
        let now: Rows;
        try {
          await move.make(world, after);
          now = await readRows(world);
        } catch (error) {
          fault = [...way, `It failed: ${error}`];
          return;
        }
        for (const change of listChanges(rows, now, move.file)) changes.add(change);
        const broken = findBroken({ memory, rows, after, now, move });
        if (broken.length > 0) {
          fault = [...way, ...broken];
          return;
        }
        const next = nameState(after, now);
        ways.set(next, [...(ways.get(next) ?? []), state]);
        if (!seen.has(next)) await visit(next, after, now, way);
      });
    }
  };

  const rows = await readRows(world);
  await visit(nameState(memory, rows), memory, rows, []);
  fault ??= findStuck(seen, ways, ended);
  return { states: seen.size, moves, changes, fault };
}

/** @returns a state from which no way leads to the end of all runs */
function findStuck(seen: ReadonlySet<string>, ways: ReadonlyMap<string, string[]>, ended: string[]): string[] | null {
  const good = new Set(ended);
  const open = [...ended];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    for (const before of ways.get(state) ?? []) {
      if (good.has(before)) continue;
      good.add(before);
      open.push(before);
    }
  }
  const stuck = [...seen].find((state) => !good.has(state));
  return stuck === undefined ? null : ['No way leads from this state to the end of all runs:', stuck];
}

function listChanges(before: Rows, after: Rows, file: string | null): string[] {
  return after.runs.flatMap((run) => {
    const was = before.runs.find(({ id }) => id === run.id);
    const isSame =
      was?.status === run.status && was.lease_owner === run.lease_owner && was.lease_epoch === run.lease_epoch;
    if (isSame) return [];
    // Whatever ends a run begins the next one in the same transaction.
    const promoted = was?.status === 'QUEUED' && run.status === 'RUNNING';
    const takenOver = run.status === 'RUNNING' ? 'claim-run' : 'end-lost-run';
    const by = promoted ? 'promote-next' : file === 'take-over' ? takenOver : (file ?? 'nobody');
    return [nameChange({ from: was?.status ?? '[*]', to: run.status, file: by })];
  });
}
