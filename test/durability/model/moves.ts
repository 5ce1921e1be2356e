import { setTimeout as sleep } from 'node:timers/promises';
import { begunStatuses, hasEnded } from '../../../src/runs/statuses.ts';
import { promoteQueue } from '../../../src/runs/transitions/promote-next.ts';
import { releaseLeases } from '../../../src/runs/transitions/release-leases.ts';
import { renewLeases } from '../../../src/runs/transitions/renew-leases.ts';
import { adoptRuns } from '../../../src/runs/upkeep/adopt.ts';
import { takeOverRun } from '../../../src/runs/upkeep/take-over.ts';
import { listClientMoves, listStarts } from './client-moves.ts';
import { type AccidentKind, canFail, type Move, spend } from './move.ts';
import { listOwnerMoves } from './owner-moves.ts';
import {
  instanceOf,
  type Memory,
  openRuntime,
  type ProcessName,
  processNames,
  type Rows,
  type Status,
  type World,
} from './world.ts';

/**
 * All moves that are possible in a state. A transition is one move: those of more than one statement hold the lock on the
 * conversation's row, and statements without that lock change only runs that are RUNNING, to which a transaction comes with
 * one conditional UPDATE. What gets in between is therefore the same as what comes before or after.
 */
export function listMoves(memory: Memory, rows: Rows): Move[] {
  return [
    ...listStarts(memory),
    ...processNames.flatMap((name) => [
      ...listOwnerMoves(memory, name),
      ...listUpkeep(memory, rows, name),
      ...listClientMoves(memory, rows, name),
      ...listAccidents(memory, rows, name),
    ]),
  ];
}

/** The background jobs of a process. */
function listUpkeep(memory: Memory, rows: Rows, process: ProcessName): Move[] {
  const { held, doomed, promotes } = memory.processes[process];
  const moves: Move[] = [];
  const add = (name: string, file: string | null, make: Move['make']) =>
    void moves.push({ name: `${process} ${name}`, file, asOwner: null, make });
  const isCancelled = ({ number }: { number: number }) =>
    rows.runs.some((run) => run.number === number && run.cancel_requested_at !== null);
  const isRead = processNames.some((name) =>
    [...held.keys()].some((number) => memory.processes[name].doomed.has(number)),
  );
  if (
    [...held.values()].some(({ run, fresh, end }) => !fresh || (isCancelled(run) && end !== 'CANCELLED')) ||
    (held.size > 0 && isRead)
  )
    add('renews its leases', 'renew-leases', (world, after) => renew(world, after, process));
  const me = instanceOf(memory, process);
  for (const { number, status, lease_owner } of rows.runs) {
    if (status !== 'RUNNING' || lease_owner === me || doomed.has(number)) continue;
    if (isAlive(memory, lease_owner, number)) continue;
    add(`takes run ${number} for lost`, null, async ({ database, conversationId }, after) => {
      const run = await database.db.run.findFirstOrThrow({ where: { conversationId, number } });
      after.processes[process].doomed.set(number, run);
    });
  }
  for (const [number, run] of doomed) {
    add(`takes over the lost run ${number}`, 'take-over', async (world, after) => {
      after.processes[process].doomed.delete(number);
      await takeOverRun(openRuntime(world, after, process), run);
    });
  }
  const isStranded =
    rows.runs.some(({ status }) => status === 'QUEUED') && !rows.runs.some(({ status }) => isBegun(status));
  if (promotes || isStranded) {
    for (const isDeaf of [false, ...(canFail(memory, 'lostAnswers') ? [true] : [])])
      add(`begins the next of the queue${isDeaf ? ', and is not told' : ''}`, 'promote-next', async (world, after) => {
        if (isDeaf) spend(after, 'lostAnswers');
        after.processes[process].promotes = false;
        await promoteQueue(openRuntime(world, after, process, isDeaf), world.conversationId);
      });
  }
  if (
    rows.runs.some(({ number, status, lease_owner }) => status === 'RUNNING' && lease_owner === me && !held.has(number))
  )
    add('takes up what it was not told of', 'claim-run', (world, after) =>
      adoptRuns(openRuntime(world, after, process)),
    );
  return moves;
}

/** Whether the owner of a run renews its lease in time, so that nobody takes the run for lost (lease-watch.ts). */
function isAlive(memory: Memory, owner: string | null, number: number): boolean {
  const name = processNames.find((candidate) => instanceOf(memory, candidate) === owner);
  if (!name) return false;
  const held = memory.processes[name].held.get(number);
  // What its process was not told of has a lease that nobody renews.
  return held?.fresh ?? false;
}

async function renew(world: World, memory: Memory, process: ProcessName): Promise<void> {
  const { held } = memory.processes[process];
  // Leases end at another millisecond than before.
  await sleep(2);
  const saved = [...held.values()].map(({ run }) => ({ run, text: null, seq: null, lastSeq: 1 }));
  const renewed = await renewLeases(openRuntime(world, memory, process), saved);
  for (const [number, own] of held) {
    const row = renewed.get(own.run.id);
    if (!row) held.delete(number);
    else own.fresh = true;
    if (row?.cancel) Object.assign(own, { phase: 'end', end: 'CANCELLED' });
  }
}

/** What goes wrong with a process. */
function listAccidents(memory: Memory, rows: Rows, process: ProcessName): Move[] {
  const moves: Move[] = [];
  const add = (name: string, kind: AccidentKind, file: string | null, make: Move['make']) => {
    if (canFail(memory, kind))
      moves.push({
        name: `${process} ${name}`,
        file,
        asOwner: null,
        async make(world, after) {
          spend(after, kind);
          await make(world, after);
        },
      });
  };
  const { held } = memory.processes[process];
  const restart = (after: Memory) => {
    const own = after.processes[process];
    own.generation += 1;
    own.promotes = false;
    own.held.clear();
    own.doomed.clear();
  };
  if (held.size > 0 || memory.processes[process].promotes || memory.processes[process].doomed.size > 0)
    add('is killed', 'crashes', null, async (_, after) => restart(after));
  if ([...held.values()].some(({ fresh }) => fresh))
    add('is stopped for longer than its lease', 'stalls', null, async (_, after) => {
      for (const own of after.processes[process].held.values()) own.fresh = false;
    });
  if (held.size > 0)
    add('gives its leases back', 'releases', 'release-leases', async (world, after) => {
      await releaseLeases(
        openRuntime(world, after, process),
        [...after.processes[process].held.values()].map(({ run }) => run),
      );
      restart(after);
    });
  for (const { number, status } of rows.runs)
    if (!hasEnded({ status }) && !memory.cancelWanted.has(number))
      add(`is asked to cancel run ${number}`, 'cancels', null, async (_, after) => void after.cancelWanted.add(number));
  return process === 'A' ? moves : moves.filter(({ name }) => !name.includes('asked to cancel'));
}

const isBegun = (status: Status) => begunStatuses.some((begun) => begun === status);
