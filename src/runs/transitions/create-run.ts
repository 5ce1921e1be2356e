import { randomUUIDv7 } from 'node:crypto';
import { appendMessage } from '../../conversations/append.ts';
import type { Message, Prisma, Run } from '../../generated/prisma/client.ts';
import { leaseMs, reservedSeqs } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import type { LockedConversation } from './lock-conversation.ts';
import type { NewTurn } from './new-turn.ts';

/**
 * Writes the user message and the run of a turn: RUNNING with the lease of this process, or QUEUED.
 * @param conversation its row is locked by the caller
 */
export async function createRun(
  tx: Prisma.TransactionClient,
  { instanceId, launching }: RunRuntime,
  conversation: LockedConversation,
  { viewer, input, stored, turn, queued }: NewTurn & { readonly queued: boolean },
): Promise<{ readonly run: Run; readonly message: Message }> {
  const { content, idempotencyKey, payloadHash, attachments } = input;
  const draft = { role: 'USER', content, attachments: [...attachments] } as const;
  const startsRun = queued
    ? { activeAgentId: null, asked: false }
    : { activeAgentId: turn.startAgentId, asked: stored.agentId !== null };
  const message = await appendMessage(tx, viewer.tenantId, conversation.id, draft, { startsRun });
  const createdAt = new Date();
  const leased = {
    status: 'RUNNING',
    leaseOwner: instanceId,
    leaseEpoch: 1,
    leaseExpiresAt: new Date(conversation.now.getTime() + leaseMs),
    reservedSeq: reservedSeqs,
  } as const;
  const begun = { startedAt: createdAt, agentId: turn.startAgentId, routingDecision: turn.routing };
  const id = randomUUIDv7();
  const create = () =>
    tx.run.create({
      data: {
        id,
        ...(queued ? { status: 'QUEUED' } : { ...begun, ...leased }),
        tenantId: viewer.tenantId,
        userId: viewer.userId,
        conversationId: conversation.id,
        number: conversation.runCount + 1,
        idempotencyKey,
        payloadHash,
        input: stored,
        userMessageId: message.id,
        createdAt,
      },
    });
  const run = await (queued ? create() : launching.during(id, create));
  return { run, message };
}
