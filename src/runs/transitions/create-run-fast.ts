import { randomUUIDv7 } from 'node:crypto';
import { appendMessageColumns } from '../../conversations/append.ts';
import type { PlainConversation } from '../../conversations/known-conversations.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { writePlan } from '../frozen-turn.ts';
import { type Moment, reservedSeqs, takeMoment } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { leaseEnd } from './lease.ts';
import type { NewTurn } from './new-turn.ts';
import { runColumns } from './run-columns.ts';

/**
 * Writes the user message and the run of a turn in one statement, if nothing is in its way: no run has its key, no run of
 * the conversation is unfinished, and tokens are left of the day's budgets. That is nearly always so, and the first token waits for it.
 * @param expected what the turn was compiled from, if that was not read: if the rows differ, it is in the way
 * @returns the run, RUNNING with the lease of this process, a moment before the lease began, and the position of the
 *   message; null, with nothing written, if something is in its way
 * @throws a unique violation if another request was faster
 */
export async function createRunFast(
  runtime: RunRuntime,
  { viewer, input, stored, turn, messageStatus }: NewTurn,
  expected: PlainConversation | null = null,
): Promise<{ readonly run: Run; readonly leasedAt: Moment; readonly position: number } | null> {
  const { tenantId, userId } = viewer;
  const { conversationId, content, idempotencyKey, payloadHash, attachments } = input;
  const [runId, messageId] = [randomUUIDv7(), randomUUIDv7()];
  const leasedAt = takeMoment();
  const now = new Date();
  const attached = attachments.map(({ knowledgeBaseId = null, ...attachment }) => ({ ...attachment, knowledgeBaseId }));
  const agentId = turn.startAgentId;
  // Who answers is decided once the turn has begun.
  const routing = turn.orchestration === null ? JSON.stringify(turn.routing) : null;
  const activeAgentId = turn.orchestration === null ? agentId : null;
  const startsRun = { activeAgentId, asked: stored.agentId !== null };
  const plan = writePlan(turn, runtime.agents.defaults.llm.endpoint);
  const create = () => runtime.db.$queryRaw<(Run & { position: number })[]>`
    WITH place AS (
      UPDATE conversations SET ${appendMessageColumns({ role: 'USER', content, status: messageStatus }, startsRun)}
      WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId} AND NOT EXISTS (
        SELECT 1 FROM runs WHERE conversation_id = ${conversationId}::uuid
          AND (idempotency_key = ${idempotencyKey} OR status IN ('QUEUED', 'RUNNING', 'REQUIRES_ACTION')))
        AND NOT EXISTS (
          SELECT 1 FROM steered_messages WHERE conversation_id = ${conversationId}::uuid AND tenant_id = ${tenantId}
            AND idempotency_key = ${idempotencyKey})
        ${expected ? isAsExpected(viewer, expected) : Prisma.empty}
        ${runtime.agents.tokenBudget.whereLeft(viewer)}
      RETURNING run_count, message_count
    ), message AS (
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, status, content,
        attachments, created_at)
      SELECT ${messageId}::uuid, ${tenantId}, ${conversationId}::uuid, message_count, 'USER',
        ${messageStatus}::"MessageStatus", ${content},
        ${JSON.stringify(attached)}::jsonb, ${now}
      FROM place
      RETURNING id
    ), run AS (
      INSERT INTO runs (id, tenant_id, conversation_id, user_id, number, status, idempotency_key, payload_hash, input,
        user_message_id, agent_id, routing_decision, lease_owner, lease_epoch, lease_expires_at, leased_at,
        reserved_seq, scenario_id, scenario_version, created_at, started_at)
      SELECT ${runId}::uuid, ${tenantId}, ${conversationId}::uuid, ${userId}, run_count, 'RUNNING', ${idempotencyKey},
        ${runtime.agents.keys.hash(payloadHash)}, ${JSON.stringify(stored)}::jsonb, message.id, ${agentId}::uuid,
        ${routing}::jsonb, ${runtime.instanceId}, 1, ${leaseEnd}, clock_timestamp(),
        ${reservedSeqs}::int, ${turn.scenario?.id ?? null}::uuid, ${turn.scenario?.version ?? null}::int, ${now}, ${now}
      -- After the message: the events of the feed come in this order.
      FROM place, message
      RETURNING ${runColumns}
    ), plan AS (
      INSERT INTO run_plans (run_id, plan) SELECT id::uuid, ${plan} FROM run
    )
    SELECT run.*, place.message_count AS position FROM run, place`;
  const [created] = await runtime.launching.during(runId, create);
  if (created === undefined) {
    runtime.launching.done(runId);
    return null;
  }
  const { position, ...run } = created;
  return { run, leasedAt, position };
}

/** The conversation is plain and as it is remembered, and its user has changed no settings. */
function isAsExpected({ tenantId, userId }: NewTurn['viewer'], { activeAgentId, followsDefault }: PlainConversation) {
  return Prisma.sql`AND scenario_id IS NULL AND active_agent_id IS NOT DISTINCT FROM ${activeAgentId}::uuid
    AND follows_default = ${followsDefault}
    AND NOT EXISTS (SELECT 1 FROM chat_settings WHERE tenant_id = ${tenantId} AND user_id = ${userId})`;
}
