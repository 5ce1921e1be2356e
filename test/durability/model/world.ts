import { z } from 'zod';
import type { Viewer } from '../../../src/auth/viewer.ts';
import type { Run } from '../../../src/generated/prisma/client.ts';
import { LiveRunLogs } from '../../../src/log/live-logs.ts';
import { RunReplays } from '../../../src/log/run-replays.ts';
import type { TurnInput } from '../../../src/runs/input.ts';
import { JoiningMessages } from '../../../src/runs/joining.ts';
import { LaunchingRuns } from '../../../src/runs/launching.ts';
import { RunLease } from '../../../src/runs/lease.ts';
import type { ActiveRun, LaunchRequest, RunDependencies, RunProgress, RunRuntime } from '../../../src/runs/runtime.ts';
import type { NewTurn } from '../../../src/runs/transitions/new-turn.ts';
import type { BranchingDatabase } from './branching-database.ts';

// The world that the explorer explores: the rows, which the real statements write, and what the processes have in memory.

export const processNames = ['A', 'B'] as const;
export type ProcessName = (typeof processNames)[number];

/** What the owner of a run does next. `restore`: it was taken over. `ask`, `pause`, `begin`, `send`, `answer`: its one call, which a person approves. */
type Phase = 'restore' | 'ask' | 'pause' | 'begin' | 'send' | 'answer' | 'end';

/** A run in the memory of a process. */
export interface Held {
  readonly run: Run;
  phase: Phase;
  end: 'COMPLETED' | 'FAILED' | 'CANCELLED';
  /** Whether the process believes in its lease, by its own clock. */
  fresh: boolean;
}

/** The memory of a process. Runs are named by their numbers. */
interface ProcessMemory {
  /** Grows with each restart: a process that was killed comes back with another name. */
  generation: number;
  readonly held: Map<number, Held>;
  /** Runs that it has read and takes for lost, as it has read them. */
  readonly doomed: Map<number, Run>;
  /** Whether it has ended a run and has not looked at the queue yet. */
  promotes: boolean;
}

/** A client's request for a turn. */
export interface Start {
  readonly process: ProcessName;
  readonly key: string;
  /** Whether it was tried in one statement, and something was in its way. */
  readonly isLocked: boolean;
}

/** What may still go wrong on a path. */
export interface Budget {
  /** All that go wrong together. */
  total: number;
  crashes: number;
  /** Stops for longer than a lease. */
  stalls: number;
  /** Answers to statements that give a lease. */
  lostAnswers: number;
  releases: number;
  cancels: number;
  expiries: number;
}

/** All that is not in the rows. */
export interface Memory {
  readonly processes: Record<ProcessName, ProcessMemory>;
  /** What the tool has received: the epoch, for each time. */
  readonly sent: number[];
  /** The runs whose cancel was asked for and is not carried out yet. */
  readonly cancelWanted: Set<number>;
  /** The calls of clients that start turns and have not been made. */
  readonly toStart: Start[];
  /** Whether a decision was accepted. */
  approved: boolean;
  readonly budget: Budget;
}

const row = z.looseObject({
  id: z.string(),
  number: z.int(),
  status: z.enum(['QUEUED', 'RUNNING', 'REQUIRES_ACTION', 'COMPLETED', 'FAILED', 'CANCELLED']),
  idempotency_key: z.string(),
  lease_owner: z.string().nullable(),
  lease_epoch: z.int(),
  lease_expires_at: z.string().nullable(),
  cancel_requested_at: z.string().nullable(),
  started_at: z.string().nullable(),
  resumed_count: z.int(),
  died_count: z.int(),
});
const call = z.looseObject({
  row_id: z.string(),
  run_id: z.string().nullable(),
  status: z.string(),
  decided_by: z.string().nullable(),
});
const message = z.looseObject({
  role: z.string(),
  status: z.string(),
  position: z.int().nullable(),
  run_id: z.string().nullable(),
});
const rows = z.object({
  runs: z.array(row),
  calls: z.array(call),
  messages: z.array(message),
  pauses: z.array(z.string()),
  archives: z.array(z.object({ run_id: z.string(), hash: z.string() })),
  counts: z.object({ message_count: z.int(), run_count: z.int() }),
});
export type Status = z.output<typeof row>['status'];
/** The rows of the conversation. */
export type Rows = z.output<typeof rows>;

/** What the explorer works with: one conversation in a database that can be taken back. */
export interface World {
  readonly database: BranchingDatabase;
  readonly base: RunDependencies;
  readonly viewer: Viewer;
  readonly conversationId: string;
  /** What a client asks for with a key. */
  newTurn(key: string): NewTurn & { readonly input: TurnInput };
  /** How the run with this number goes on from its start. */
  script(number: number): Pick<Held, 'phase' | 'end'>;
}

/** Reads the rows of the conversation, in one statement. */
export async function readRows({ database, conversationId }: World): Promise<Rows> {
  const [found] = await database.db.$queryRaw<{ rows: unknown }[]>`
    WITH own AS (SELECT * FROM runs WHERE conversation_id = ${conversationId}::uuid)
    SELECT jsonb_build_object(
      'runs', (SELECT coalesce(jsonb_agg(to_jsonb(own) ORDER BY number), '[]') FROM own),
      'calls', (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY call_id), '[]') FROM tool_calls c
        WHERE conversation_id = ${conversationId}::uuid),
      'messages', (SELECT coalesce(jsonb_agg(to_jsonb(m) ORDER BY id), '[]') FROM messages m
        WHERE conversation_id = ${conversationId}::uuid),
      'pauses', (SELECT coalesce(jsonb_agg(run_id), '[]') FROM run_pauses WHERE run_id IN (SELECT id FROM own)),
      'archives', (SELECT coalesce(jsonb_agg(jsonb_build_object('run_id', run_id, 'hash', md5(events)) ORDER BY run_id), '[]')
        FROM run_archives WHERE run_id IN (SELECT id FROM own)),
      'counts', (SELECT jsonb_build_object('message_count', message_count, 'run_count', run_count) FROM conversations
        WHERE id = ${conversationId}::uuid)) AS rows`;
  return rows.parse(found?.rows);
}

export function instanceOf(memory: Memory, name: ProcessName): string {
  return `${name}${memory.processes[name].generation}`;
}

/** A process, as the transitions see it. What it launches is in its memory from then on. */
export function openRuntime(world: World, memory: Memory, name: ProcessName, isDeaf = false): RunRuntime {
  const { database, base } = world;
  const { held } = memory.processes[name];
  const running = new Map<string, ActiveRun>();
  for (const { run } of held.values()) running.set(run.id, idle(requestOf(world, run)));
  return {
    ...base,
    db: database.db,
    upkeep: { db: database.db },
    instanceId: instanceOf(memory, name),
    log: new LiveRunLogs(),
    replays: new RunReplays(),
    running,
    launching: new LaunchingRuns(),
    joining: new JoiningMessages(),
    cursors: new Set(),
    remote: nobodyElse,
    closing: false,
    sendingAway: false,
    launch(request) {
      const { run, resumed, isTakeover } = request;
      const begins = world.script(run.number);
      const asks = begins.phase === 'ask';
      const phase = resumed ? 'begin' : isTakeover && asks ? 'restore' : begins.phase;
      // The answer was lost: it does not know of it.
      if (!isDeaf) held.set(run.number, { ...begins, phase, run, fresh: true });
      return idle(request);
    },
  };
}

/** Nobody reads the events of these runs. */
const nobodyElse: RunRuntime['remote'] = {
  isFollowed: () => false,
  follow: () => {},
  unfollow: () => {},
  readLive: async () => null,
  announce: () => {},
};

function requestOf({ viewer, newTurn }: World, run: Run): LaunchRequest {
  const { stored } = newTurn(run.idempotencyKey);
  const leasedAt = { processMs: 0, machineMs: 0 };
  return { viewer, run, leasedAt, stored, turn: null, openingMessage: null, resumed: null, isTakeover: false };
}

/** A run of this process in which nothing happens by itself: the explorer makes its moves. */
function idle(request: LaunchRequest): ActiveRun {
  const progress: RunProgress = {
    closing: false,
    unsaved: null,
    savable: true,
    written: async () => {},
    takeUnstored: () => null,
    noteStoring: () => {},
    noteSaved: () => {},
    noteCheckpoint: () => {},
    savedSeqAt: () => 0,
    steering: { note: () => {} },
  };
  return {
    ...request,
    cancelOnDisconnect: false,
    signal: new AbortController().signal,
    lease: new RunLease(request.leasedAt),
    progress,
    done: Promise.resolve('lost'),
    stop: () => {},
  };
}

/** Names a state: what differs only in ids and times is the same. */
export function nameState(memory: Memory, { runs, calls, messages, pauses, archives, counts }: Rows): string {
  const numbers = new Map(runs.map(({ id, number }) => [id, number]));
  const numberOf = (id: string | null) => numbers.get(id ?? '') ?? null;
  const processes = processNames.map((name) => {
    const { held, doomed, promotes } = memory.processes[name];
    return [
      instanceOf(memory, name),
      promotes,
      [...held]
        .sort(([a], [b]) => a - b)
        .map(([n, { run, phase, end, fresh }]) => [n, run.leaseEpoch, phase, end, fresh]),
      [...doomed].sort(([a], [b]) => a - b).map(([n, run]) => [n, isAsRead(run, runs)]),
    ];
  });
  return JSON.stringify([
    runs.map((run) => [
      run.status,
      run.idempotency_key,
      run.lease_owner,
      run.lease_epoch,
      run.cancel_requested_at !== null,
      run.resumed_count,
      run.died_count,
    ]),
    calls.map(({ status, decided_by, run_id }) => [status, decided_by, numberOf(run_id)]),
    messages
      .map(({ role, status, position, run_id }) => JSON.stringify([role, status, position, numberOf(run_id)]))
      .sort(),
    pauses.map(numberOf),
    archives.map(({ run_id }) => numberOf(run_id)),
    counts,
    processes,
    [memory.sent, [...memory.cancelWanted].sort(), memory.toStart, memory.approved, memory.budget],
  ]);
}

/** Whether a run is still as it was read. */
function isAsRead({ number, leaseOwner, leaseEpoch, leaseExpiresAt }: Run, runs: Rows['runs']): boolean {
  const now = runs.find((run) => run.number === number);
  return (
    now !== undefined &&
    now.lease_owner === leaseOwner &&
    now.lease_epoch === leaseEpoch &&
    (now.lease_expires_at === null ? null : Date.parse(now.lease_expires_at)) === (leaseExpiresAt?.getTime() ?? null)
  );
}
