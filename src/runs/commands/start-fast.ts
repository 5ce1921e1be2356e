import { randomUUIDv7 } from 'node:crypto';
import { RateLimitedError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { appendMessageColumns } from '../../conversations/append.ts';
import { type Message, Prisma, type Run } from '../../generated/prisma/client.ts';
import type { StoredTurn, TurnInput } from '../input.ts';
import type { CompiledTurn } from '../plan/plan-turn.ts';
import { leaseMs, type RunScheduler } from '../scheduler.ts';

/**
 * Starts a turn in one statement, where nothing is in its way: its key has started none, and the conversation is not
 * busy. That is nearly always so, and it is what the first token waits for.
 *
 * Two who come at once can both see an idle conversation. The unique indexes (one active run, one run for each key) let
 * one of them through; for the other the statement fails as a whole, and the long way (start.ts) finds out what is so.
 *
 * Call it where nothing was seen in the way: it takes a point of the viewer's, and gives it back where there was after all.
 * @returns null, with nothing written, where something is in its way, or the viewer has no turns left for now
 */
export async function startInOneStatement(
  viewer: Viewer,
  runtime: RunScheduler,
  input: TurnInput,
  stored: StoredTurn,
  turn: CompiledTurn,
  payloadHash: string,
): Promise<{ readonly run: Run; readonly first: Message | null } | null> {
  if (input.after > 0 || !(await tryTake(viewer, runtime))) return null;
  let begun: Awaited<ReturnType<typeof insert>> = null;
  try {
    begun = await insert(viewer, runtime, input, stored, turn, payloadHash);
  } catch (error) {
    if (!isTaken(error)) throw error;
  } finally {
    if (begun === null) await runtime.turnLimit.giveBack(viewer);
  }
  return begun;
}

async function insert(
  { tenantId, userId }: Viewer,
  runtime: RunScheduler,
  { conversationId, content, idempotencyKey, attachments }: TurnInput,
  stored: StoredTurn,
  turn: CompiledTurn,
  payloadHash: string,
): Promise<{ readonly run: Run; readonly first: Message | null } | null> {
  const [runId, messageId] = [randomUUIDv7(), randomUUIDv7()];
  const now = new Date();
  const leaseExpiresAt = new Date(now.getTime() + leaseMs);
  const attached = attachments.map(({ knowledgeBaseId = null, ...attachment }) => ({ ...attachment, knowledgeBaseId }));
  const agentId = turn.startAgentId;
  const startsRun = { activeAgentId: agentId, asked: stored.agentId !== null };
  const [place] = await runtime.db.$queryRaw<{ number: number; position: number }[]>`
    WITH place AS (
      UPDATE conversations SET ${appendMessageColumns({ role: 'USER', content }, startsRun)}
      WHERE id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId} AND NOT EXISTS (
        SELECT 1 FROM runs WHERE conversation_id = ${conversationId}::uuid
          AND (idempotency_key = ${idempotencyKey} OR status IN ('QUEUED', 'RUNNING', 'REQUIRES_ACTION')))
      RETURNING run_count, message_count
    ), message AS (
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, content, attachments, created_at)
      SELECT ${messageId}::uuid, ${tenantId}, ${conversationId}::uuid, message_count, 'USER', ${content},
        ${JSON.stringify(attached)}::jsonb, ${now}
      FROM place
    ), run AS (
      INSERT INTO runs (id, tenant_id, conversation_id, user_id, number, status, idempotency_key, payload_hash, input,
        user_message_id, agent_id, routing_decision, lease_owner, lease_expires_at, created_at, started_at)
      SELECT ${runId}::uuid, ${tenantId}, ${conversationId}::uuid, ${userId}, run_count, 'RUNNING', ${idempotencyKey},
        ${payloadHash}, ${JSON.stringify(stored)}::jsonb, ${messageId}::uuid, ${agentId}::uuid,
        ${JSON.stringify(turn.routing)}::jsonb, ${runtime.instanceId}, ${leaseExpiresAt}, ${now}, ${now}
      FROM place
    )
    SELECT run_count AS number, message_count AS position FROM place`;
  if (place === undefined) return null;
  const run: Run = {
    id: runId,
    tenantId,
    conversationId,
    userId,
    number: place.number,
    status: 'RUNNING',
    idempotencyKey,
    payloadHash,
    input: { ...stored },
    userMessageId: messageId,
    agentId,
    lastSeq: 0,
    routingDecision: { ...turn.routing },
    errorCode: null,
    errorMessage: null,
    errorRetryable: null,
    leaseOwner: runtime.instanceId,
    leaseExpiresAt,
    cancelRequestedAt: null,
    actionExpiresAt: null,
    createdAt: now,
    startedAt: now,
    finishedAt: null,
  };
  if (place.position > 1) return { run, first: null };
  const first: Message = {
    id: messageId,
    tenantId,
    conversationId,
    position: place.position,
    role: 'USER',
    status: 'COMPLETE',
    content,
    agentId: null,
    runId: null,
    step: null,
    attachments: attached,
    routingDecision: null,
    source: 'CHAT',
    createdAt: now,
  };
  return { run, first };
}

/** Takes a point where there is one: where there is none, attaching may still be free. */
async function tryTake(viewer: Viewer, runtime: RunScheduler): Promise<boolean> {
  try {
    await runtime.turnLimit.take(viewer);
    return true;
  } catch (error) {
    if (error instanceof RateLimitedError) return false;
    throw error;
  }
}

/** Whether a unique index has said no. A raw statement fails with P2010, and PostgreSQL's own code inside. */
function isTaken(error: unknown): boolean {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return false;
  return error.code === 'P2002' || (error.code === 'P2010' && JSON.stringify(error.meta ?? {}).includes('23505'));
}
