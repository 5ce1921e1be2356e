import { hasEnded } from '../../../src/runs/statuses.ts';
import type { Move } from './move.ts';
import { instanceOf, type Memory, processNames, type Rows } from './world.ts';

/** A move, with what was before and after it. */
interface Made {
  readonly memory: Memory;
  readonly rows: Rows;
  readonly after: Memory;
  readonly now: Rows;
  readonly move: Move;
}

/** @returns a sentence for each thing that must never be */
export function findBroken({ memory, rows, after, now, move }: Made): string[] {
  const broken: string[] = [];
  for (const before of rows.runs) {
    const run = now.runs.find(({ id }) => id === before.id);
    if (!run) broken.push(`Run ${before.number} is gone.`);
    else if (hasEnded(before) && contentOf(rows, before.id) !== contentOf(now, run.id))
      broken.push(`Run ${run.number} had ended and was changed.`);
    if (run && before.status === 'RUNNING' && run.status === 'REQUIRES_ACTION' && before.cancel_requested_at !== null)
      broken.push(`Run ${run.number} waits for a person although its end was asked for.`);
    if (run && run.lease_epoch < before.lease_epoch) broken.push(`The epoch of run ${run.number} has shrunk.`);
    if (run && before.lease_owner !== null && run.lease_owner !== before.lease_owner && run.lease_owner !== null)
      if (run.lease_epoch === before.lease_epoch) broken.push(`Run ${run.number} has two owners in one epoch.`);
  }
  if (move.asOwner) {
    const { process, number } = move.asOwner;
    const row = rows.runs.find((run) => run.number === number);
    const held = memory.processes[process].held.get(number);
    const isOwner =
      row?.status === 'RUNNING' &&
      row.lease_owner === instanceOf(memory, process) &&
      row.lease_epoch === held?.run.leaseEpoch;
    if (!isOwner && row && contentOf(rows, row.id) !== contentOf(now, row.id))
      broken.push(`${process} wrote into run ${number}, which it does not own.`);
  }
  const begun = now.runs.filter(({ status }) => status === 'RUNNING' || status === 'REQUIRES_ACTION');
  if (begun.length > 1) broken.push('Two runs of the conversation have begun.');
  for (const run of now.runs) {
    const { number, status, lease_owner } = run;
    if (status !== 'QUEUED' && run.started_at !== null && !hasEnded(run))
      if (now.runs.some((other) => other.number < number && other.status === 'QUEUED'))
        broken.push(`Run ${number} has begun before those ahead of it in the queue.`);
    if (status !== 'RUNNING' && lease_owner !== null) broken.push(`Run ${number} is ${status} and has an owner.`);
    const open = now.calls.filter((call) => call.run_id === run.id && !callHasEnded(call.status));
    if (hasEnded(run) && open.length > 0) broken.push(`Run ${number} has ended with an open call.`);
    if (hasEnded(run) && !now.archives.some(({ run_id }) => run_id === run.id))
      broken.push(`Run ${number} has ended without an archive.`);
    if (status === 'REQUIRES_ACTION' && !open.some((call) => call.status === 'AWAITING_APPROVAL'))
      broken.push(`Run ${number} waits, and nobody can decide.`);
  }
  const positions = now.messages.flatMap(({ position }) => (position === null ? [] : [position])).sort((a, b) => a - b);
  if (positions.some((position, index) => position !== index + 1) || positions.length !== now.counts.message_count)
    broken.push(`The messages have the positions ${positions.join()} of ${now.counts.message_count}.`);
  for (const { id, number, status } of now.runs) {
    const written = now.messages.filter(({ run_id, role }) => run_id === id && role === 'ASSISTANT');
    if (written.length > 1) broken.push(`Run ${number} has written ${written.length} messages.`);
    if (status === 'COMPLETED' && written[0]?.status !== 'COMPLETE')
      broken.push(`Run ${number} is complete without its answer.`);
  }
  const keys = now.runs.map(({ idempotency_key }) => idempotency_key);
  if (new Set(keys).size < keys.length) broken.push('One key has started two runs.');
  for (const name of processNames) {
    for (const [number, { run, fresh }] of after.processes[name].held) {
      const row = now.runs.find((each) => each.number === number);
      const isIts =
        row?.status === 'RUNNING' && row.lease_owner === instanceOf(after, name) && row.lease_epoch === run.leaseEpoch;
      if (fresh && !isIts) broken.push(`${name} believes that it owns run ${number}, whose row says otherwise.`);
    }
  }
  if (after.sent.length > 1) broken.push(`The tool was called ${after.sent.length} times.`);
  const [call] = now.calls;
  if (after.sent.length > 0 && (call?.status === 'CANCELLED' || call?.status === 'PENDING'))
    broken.push(`The tool was called, and its call is ${call.status}.`);
  if (after.approved && call?.decided_by === null) broken.push('The decision of a person was lost.');
  if (after.approved && call?.status === 'AWAITING_APPROVAL') broken.push('A call that was approved waits again.');
  return broken;
}

function callHasEnded(status: string): boolean {
  return ['SUCCEEDED', 'FAILED', 'DENIED', 'CANCELLED', 'UNKNOWN'].includes(status);
}

/** All that the rows say of one run. */
function contentOf({ runs, calls, messages, pauses, archives }: Rows, id: string): string {
  const ofRun = ({ run_id }: { readonly run_id: string | null }) => run_id === id;
  return JSON.stringify([
    runs.find((run) => run.id === id),
    calls.filter(ofRun),
    messages.filter(ofRun),
    pauses.includes(id),
    archives.filter(ofRun),
  ]);
}
