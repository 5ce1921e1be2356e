import { ConflictError } from '../../../src/api/errors.ts';
import { formatId } from '../../../src/api/ids.ts';
import { approveToolCall } from '../../../src/runs/commands/approve.ts';
import { takeMoment } from '../../../src/runs/lease.ts';
import type { RunRuntime } from '../../../src/runs/runtime.ts';
import { unfinishedStatuses } from '../../../src/runs/statuses.ts';
import { cancelQueued } from '../../../src/runs/transitions/cancel-queued.ts';
import { cancelWaiting } from '../../../src/runs/transitions/cancel-waiting.ts';
import { createRun } from '../../../src/runs/transitions/create-run.ts';
import { createRunFast } from '../../../src/runs/transitions/create-run-fast.ts';
import { lockConversation } from '../../../src/runs/transitions/lock-conversation.ts';
import { requestCancel } from '../../../src/runs/transitions/request-cancel.ts';
import { canFail, type Move, spend } from './move.ts';
import { type Memory, openRuntime, type ProcessName, type Rows, type Start, type Status, type World } from './world.ts';
/** As commands/start.ts: in one statement if nothing is in the way; then in a transaction, where it waits in the queue. */
export function listStarts({ toStart }: Memory): Move[] {
  return toStart.map((start, index) => ({
    name: `${start.process} starts ${start.key}${start.isLocked ? ' with a lock' : ''}`,
    file: start.isLocked ? 'create-run' : 'create-run-fast',
    asOwner: null,
    async make(world, memory) {
      memory.toStart.splice(index, 1);
      const isDone = start.isLocked ? await startLocked(world, memory, start) : await startFast(world, memory, start);
      if (!isDone) memory.toStart.push({ ...start, isLocked: true });
    },
  }));
}

async function startFast(world: World, memory: Memory, { process, key }: Start): Promise<boolean> {
  const runtime = openRuntime(world, memory, process);
  const newTurn = world.newTurn(key);
  const { viewer, stored, turn } = newTurn;
  const fast = await createRunFast(runtime, newTurn);
  if (fast) runtime.launch({ viewer, ...fast, stored, turn, openingMessage: null, resumed: null, isTakeover: false });
  return fast !== null;
}

async function startLocked(world: World, memory: Memory, { process, key }: Start): Promise<boolean> {
  const runtime = openRuntime(world, memory, process);
  const newTurn = world.newTurn(key);
  const { viewer, stored, turn } = newTurn;
  await runtime.db.$transaction(async (tx) => {
    const conversation = await lockConversation(tx, world.conversationId);
    if (!conversation) throw new Error('There is no conversation.');
    const inTheWay = await tx.run.findMany({
      where: {
        conversationId: conversation.id,
        OR: [{ idempotencyKey: key }, { status: { in: [...unfinishedStatuses] } }],
      },
    });
    if (inTheWay.some(({ idempotencyKey }) => idempotencyKey === key)) return;
    const queued = inTheWay.filter(({ status }) => status === 'QUEUED').length;
    const queuedPosition = inTheWay.length === 0 ? null : queued + 1;
    const { run } = await createRun(tx, runtime, conversation, { ...newTurn, queuedPosition, joins: false });
    const leasedAt = takeMoment();
    if (queuedPosition === null)
      runtime.launch({ viewer, run, leasedAt, stored, turn, openingMessage: null, resumed: null, isTakeover: false });
  });
  return true;
}

/** As commands/cancel.ts, by the status that was read. */
const cancels: readonly {
  readonly status: Status;
  readonly name: string;
  readonly file: string;
  /** @returns whether nothing more is to be done */
  readonly cancel: (runtime: RunRuntime, id: string) => Promise<boolean>;
}[] = [
  { status: 'QUEUED', name: 'cancels in the queue', file: 'cancel-queued', cancel: cancelQueued },
  { status: 'REQUIRES_ACTION', name: 'cancels, while it waits,', file: 'cancel-waiting', cancel: cancelWaiting },
  {
    status: 'RUNNING',
    name: 'asks its process to cancel',
    file: 'request-cancel',
    cancel: async (runtime, id) => {
      await requestCancel(runtime, id);
      return false;
    },
  },
];

/** The requests of clients that come to a process. */
export function listClientMoves(memory: Memory, rows: Rows, process: ProcessName): Move[] {
  const moves: Move[] = [];
  const add = (name: string, file: string | null, make: Move['make']) =>
    void moves.push({ name: `${process} ${name}`, file, asOwner: null, make });
  for (const number of memory.cancelWanted) {
    const run = rows.runs.find((each) => each.number === number);
    if (!run) continue;
    const held = memory.processes[process].held.get(number);
    if (held && held.end !== 'CANCELLED')
      add(`stops its run ${number}`, null, async (_, after) => {
        const own = after.processes[process].held.get(number);
        if (own) Object.assign(own, { phase: 'end', end: 'CANCELLED' });
      });
    for (const { status, name, file, cancel } of cancels) {
      // Who cancels has read the row before: one of the two may be late.
      if (process === 'A' && run.status !== status) continue;
      add(`${name} run ${number}`, file, async (world, after) => {
        if (await cancel(openRuntime(world, after, process), run.id)) after.cancelWanted.delete(number);
      });
    }
  }
  for (const { row_id, run_id, status } of rows.calls) {
    if (run_id === null || status !== 'AWAITING_APPROVAL') continue;
    for (const isDeaf of [false, ...(canFail(memory, 'lostAnswers') ? [true] : [])])
      add(`approves${isDeaf ? ', and is not told' : ''}`, 'resume-run', async (world, after) => {
        if (isDeaf) spend(after, 'lostAnswers');
        const decision = {
          runId: formatId('Run', run_id),
          toolCallId: formatId('ToolCall', row_id),
          approve: true,
        };
        try {
          await approveToolCall(world.viewer, openRuntime(world, after, process, isDeaf), decision);
          after.approved = true;
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error;
        }
      });
    if (memory.budget.expiries > 0)
      add('finds that nobody has decided', 'cancel-waiting', async (world, after) => {
        after.budget.expiries -= 1;
        await cancelWaiting(openRuntime(world, after, process), run_id, {
          expiredAt: new Date(Date.now() + 86_400_000),
        });
      });
  }
  return moves;
}
