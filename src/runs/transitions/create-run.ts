import { randomUUIDv7 } from 'node:crypto';
import { appendMessage } from '../../conversations/append.ts';
import type { Message, Prisma, Run } from '../../generated/prisma/client.ts';
import { writePlan } from '../frozen-turn.ts';
import { leaseMs, reservedSeqs } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import type { LockedConversation } from './lock-conversation.ts';
import type { NewTurn } from './new-turn.ts';

/**
 * Writes the user message and the run of a turn: RUNNING with the lease of this process, or QUEUED.
 * @param conversation its row is locked by the caller
 * @param newTurn.queuedPosition its place in the queue, from 1; null: nothing is in its way
 */
export async function createRun(
  tx: Prisma.TransactionClient,
  { instanceId, launching, agents }: RunRuntime,
  conversation: LockedConversation,
  {
    viewer,
    input,
    stored,
    turn,
    queuedPosition,
    messageStatus: status,
  }: NewTurn & { readonly queuedPosition: number | null },
): Promise<{ readonly run: Run; readonly message: Message }> {
  const { content, idempotencyKey, payloadHash, attachments } = input;
  const draft = { role: 'USER', status, content, attachments: [...attachments] } as const;
  const isQueued = queuedPosition !== null;
  // Who answers is decided once the turn has begun.
  const isDecided = !isQueued && turn.orchestration === null;
  const startsRun = !isDecided
    ? { activeAgentId: null, asked: false }
    : { activeAgentId: turn.startAgentId, asked: stored.agentId !== null };
  const message = await appendMessage(tx, viewer.tenantId, conversation.id, draft, { startsRun, isQueued });
  const createdAt = new Date();
  const leased = {
    status: 'RUNNING',
    leaseOwner: instanceId,
    leaseEpoch: 1,
    leaseExpiresAt: new Date(conversation.now.getTime() + leaseMs),
    leasedAt: conversation.now,
    reservedSeq: reservedSeqs,
  } as const;
  const plan = { create: { plan: writePlan(turn, agents.defaults.llm.endpoint) } };
  const decided = isDecided ? { routingDecision: turn.routing } : {};
  const begun = { startedAt: createdAt, agentId: turn.startAgentId, ...decided, plan };
  const id = randomUUIDv7();
  const create = () =>
    tx.run.create({
      data: {
        id,
        ...(isQueued ? { status: 'QUEUED', queuedPosition } : { ...begun, ...leased }),
        tenantId: viewer.tenantId,
        userId: viewer.userId,
        conversationId: conversation.id,
        number: conversation.runCount + 1,
        idempotencyKey,
        payloadHash: agents.keys.hash(payloadHash),
        input: stored,
        userMessageId: message.id,
        createdAt,
      },
    });
  const run = await (isQueued ? create() : launching.during(id, create));
  return { run, message };
}
