import { unknownNote } from '../../engine/tool-step.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import type { RunEnd } from '../run-end.ts';
import type { RunRuntime } from '../runtime.ts';
import { againIfOutdated, lockOwnedWithConversation } from './lease.ts';
import { type FinishedMessage, finishMessageParts, type LedgerEntry, modelCallPart } from './step-parts.ts';

/** What is written when this process ends a run. */
export interface EndRows {
  readonly run: Run;
  readonly agentId: string | null;
  readonly end: RunEnd;
  /** All events of the run with the terminal one, packed, and the seq of the terminal one. */
  readonly archive: string;
  readonly lastSeq: number;
  /** The last message; null: it is in its row already, or there is none. */
  readonly message: FinishedMessage | null;
  /** The last model call; null: it is in the ledger already. */
  readonly ledger: LedgerEntry | null;
  /** Whether rows may still be open that the engine has closed. */
  readonly incomplete: boolean;
}

/** What became of the end. */
export interface EndedRun {
  /** Whether this statement ended the run; otherwise its rows say how it stands. */
  readonly written: boolean;
  /** Whether runs of its conversation wait in the queue, or were cancelled there and their messages are to be listed. */
  readonly queued: boolean;
}

/**
 * RUNNING to its end: the last message with its model call, the row, the archive and what is open, in one statement, so that
 * a lost answer leaves either all of it or nothing.
 */
export async function endRun(runtime: RunRuntime, rows: EndRows): Promise<EndedRun> {
  const { run, agentId, end, archive, lastSeq, message, ledger, incomplete } = rows;
  const now = new Date();
  const finished = message
    ? finishMessageParts(run, message, true)
    : Prisma.sql`, place AS (
      UPDATE conversations SET updated_at = greatest(updated_at, clock_timestamp())
      WHERE id = (SELECT conversation_id FROM owned)
    )`;
  // The message first: the events of the feed come in the order of the changes.
  const afterMessage = message
    ? Prisma.sql`AND (SELECT count(*) FROM added) + (SELECT count(*) FROM closed) >= 0`
    : Prisma.empty;
  const left = incomplete
    ? Prisma.sql`, texts AS (
        UPDATE messages SET status = 'PARTIAL', finish_reason = 'ERROR'
        WHERE run_id = (SELECT id FROM ended) AND status = 'STREAMING'
          AND id IS DISTINCT FROM ${message?.messageId ?? null}::uuid
      ), calls AS (
        UPDATE tool_calls SET finished_at = ${now}::timestamptz,
          status = CASE WHEN status = 'RUNNING' THEN 'UNKNOWN' ELSE 'CANCELLED' END::"ToolCallStatus",
          error = CASE WHEN status = 'RUNNING' THEN ${unknownNote} ELSE 'The turn was stopped.' END
        WHERE run_id = (SELECT id FROM ended) AND status IN ('PENDING', 'AWAITING_APPROVAL', 'RUNNING')
      )`
    : Prisma.empty;
  const [row] = await againIfOutdated(
    () => runtime.db.$queryRaw<EndedRun[]>`
    WITH ${lockOwnedWithConversation(runtime, run)}${finished}${ledger ? modelCallPart(run, ledger) : Prisma.empty}, ended AS (
      UPDATE runs SET status = ${end.status}::"RunStatus", error_code = ${end.failure?.code ?? null},
        error_message = ${end.failure?.message ?? null}, error_retryable = ${end.failure?.retryable ?? null}::boolean,
        last_seq = ${lastSeq}::int, finished_at = ${now}::timestamptz, lease_owner = NULL, lease_expires_at = NULL,
        action_expires_at = NULL, agent_id = ${agentId}::uuid
      WHERE id = (SELECT id FROM owned) ${afterMessage}
      RETURNING id
    ), archived AS (
      INSERT INTO run_archives (run_id, events) SELECT id, ${archive} FROM ended
      ON CONFLICT (run_id) DO UPDATE SET events = excluded.events
    ), unpaused AS (
      DELETE FROM run_pauses WHERE run_id = (SELECT id FROM ended)
    ), unplanned AS (
      DELETE FROM run_plans WHERE run_id = (SELECT id FROM ended)
    )${left}
    SELECT EXISTS (SELECT 1 FROM ended) AS written,
      EXISTS (SELECT 1 FROM runs WHERE conversation_id = ${run.conversationId}::uuid AND status = 'QUEUED')
      OR EXISTS (
        SELECT 1 FROM messages WHERE conversation_id = ${run.conversationId}::uuid AND position IS NULL AND is_active
      ) AS queued`,
  );
  return row ?? { written: false, queued: false };
}
