import type { TurnEvent } from '../../engine/events.ts';
import { budgetTokensOf } from '../../engine/tokens.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import type { CitedPassage } from '../../knowledge/cite/turn-sources.ts';

// What a model step leaves behind, as parts of the statement that also writes what follows from it: a message is written once,
// where it is finished, with its model call. The parts follow `owned` (lease.ts), and write nothing without it.

/** A message that its model step has finished. */
export interface FinishedMessage extends Omit<Extract<TurnEvent, { type: 'messageCompleted' }>, 'type' | 'isFinal'> {
  readonly agentId: string;
  readonly step: number;
  /** The handoffs that its step asks for, as JSON; null: the step did not end. */
  readonly transfers: string | null;
  /** Whether calls of earlier steps without a text belong to it. */
  readonly takesCalls: boolean;
  /** The reasoning before it, if the tenant has it stored; null: none. */
  readonly reasoning: string | null;
  /** The passages that its text cites. */
  readonly citations: readonly CitedPassage[];
}

/** A model call for the ledger. `id` is that of its row, the same each time it is sent. */
export interface LedgerEntry {
  readonly id: string;
  readonly call: Extract<TurnEvent, { type: 'modelCalled' }>['call'];
}

/**
 * Writes a finished message: its whole row or, if it was stored while it was being written, the rest of it. A second time it
 * changes nothing. It follows `owned` with the lock on the conversation.
 *
 * The row of the conversation is changed here and nowhere else in the statement: PostgreSQL changes a row once.
 * @param endsRun whether the run ends with it: then the conversation is touched in any case
 */
export function finishMessageParts(run: Run, message: FinishedMessage, endsRun: boolean): Prisma.Sql {
  const { messageId, agentId, step, content, status, finishReason, transfers, takesCalls } = message;
  const isStored = Prisma.sql`EXISTS (SELECT 1 FROM messages WHERE id = ${messageId}::uuid)`;
  const adopted = takesCalls
    ? Prisma.sql`, adopted AS (
        UPDATE tool_calls SET message_id = ${messageId}::uuid
        WHERE run_id = (SELECT id FROM owned) AND message_id IS NULL)`
    : Prisma.empty;
  return Prisma.sql`, place AS (
      UPDATE conversations SET message_count = message_count + CASE WHEN ${isStored} THEN 0 ELSE 1 END,
        updated_at = greatest(updated_at, clock_timestamp())
      WHERE id = (SELECT conversation_id FROM owned) ${endsRun ? Prisma.empty : Prisma.sql`AND NOT ${isStored}`}
      RETURNING message_count
    ), added AS (
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, status, content, agent_id, run_id, step,
        finish_reason, transfers)
      SELECT ${messageId}::uuid, ${run.tenantId}, ${run.conversationId}::uuid, message_count, 'ASSISTANT',
        ${status}::"MessageStatus", ${content}, ${agentId}::uuid, ${run.id}::uuid, ${step}::int,
        ${finishReason}::"FinishReason", ${transfers}::jsonb
      FROM place WHERE NOT ${isStored}
      RETURNING id
    ), closed AS (
      UPDATE messages SET content = ${content}, status = ${status}::"MessageStatus",
        finish_reason = ${finishReason}::"FinishReason", transfers = ${transfers}::jsonb
      WHERE id = ${messageId}::uuid AND run_id = (SELECT id FROM owned) AND status = 'STREAMING'
      RETURNING id
    )${adopted}${citationsPart(run, message)}${detailsPart(run, message)}`;
}

/** Stores what a message is beside its text: most are nothing. */
function detailsPart(run: Run, { messageId, data, reasoning }: FinishedMessage): Prisma.Sql {
  if (data === undefined && reasoning === null) return Prisma.empty;
  const json = data === undefined ? null : JSON.stringify(data);
  return Prisma.sql`, detailed AS (
      INSERT INTO message_details (tenant_id, message_id, data, reasoning)
      SELECT ${run.tenantId}, ${messageId}::uuid, ${json}::json, ${reasoning} FROM owned
      ON CONFLICT (tenant_id, message_id) DO UPDATE SET data = excluded.data, reasoning = excluded.reasoning
    )`;
}

/** Stores what a message cites; nothing if it cites nothing. */
function citationsPart(run: Run, { messageId, citations }: FinishedMessage): Prisma.Sql {
  if (citations.length === 0) return Prisma.empty;
  const rows = citations.map(({ index, documentId, title, url, quote, position }) => {
    return Prisma.sql`(${index}::int, ${documentId}::uuid, ${title}, ${url}, ${quote}, ${position}::int)`;
  });
  return Prisma.sql`, cited AS (
      INSERT INTO citations (tenant_id, message_id, index, document_id, title, url, quote, position)
      SELECT ${run.tenantId}, ${messageId}::uuid, c.index, c.document_id, c.title, c.url, c.quote, c.position
      FROM owned, (VALUES ${Prisma.join(rows)}) AS c (index, document_id, title, url, quote, position)
      ON CONFLICT (tenant_id, message_id, index) DO NOTHING
    )`;
}

/** Adds a model call to the ledger. A second time it changes nothing. */
export function modelCallPart(run: Run, { id, call }: LedgerEntry): Prisma.Sql {
  const { agentId, step, model, usage, durationMs, timeToFirstTokenMs } = call;
  return Prisma.sql`, called AS (
      INSERT INTO model_calls (id, tenant_id, user_id, conversation_id, run_id, agent_id, step, model, input_tokens,
        output_tokens, cached_input_tokens, cache_write_input_tokens, reasoning_tokens, budget_tokens, complete,
        duration_ms, time_to_first_token_ms)
      SELECT ${id}::uuid, ${run.tenantId}, ${run.userId}, ${run.conversationId}::uuid, id, ${agentId}::uuid, ${step}::int,
        ${model}, ${usage?.inputTokens ?? 0}::int, ${usage?.outputTokens ?? 0}::int,
        ${usage?.cachedInputTokens ?? 0}::int, ${usage?.cacheWriteInputTokens ?? 0}::int,
        ${usage?.reasoningTokens ?? 0}::int, ${budgetTokensOf(call)}::int, ${usage !== null}, ${durationMs}::int, ${timeToFirstTokenMs}::int
      FROM owned
      ON CONFLICT (id) DO NOTHING
    )`;
}
