import { randomUUIDv7 } from 'node:crypto';
import { takeAttachments } from '../../attachments/take.ts';
import { appendMessage, type StartsRun } from '../../conversations/append.ts';
import type { Attachment } from '../../conversations/attachment.ts';
import type { Message, Prisma, Run } from '../../generated/prisma/client.ts';
import { addAttachedDocuments } from '../../knowledge/attached-documents.ts';
import { writePlan } from '../frozen-turn.ts';
import { leaseMs, reservedSeqs } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { provisionalNumbers } from '../statuses.ts';
import type { LockedConversation } from './lock-conversation.ts';
import type { NewTurn } from './new-turn.ts';
import { assertMayBranch, beginBranch } from './take-branch.ts';

/**
 * Writes the user message and the run of a turn: RUNNING with the lease of this process, or QUEUED. Attachments that name a
 * knowledge base become documents of it, unless guardrails have blocked the message.
 * @param conversation its row is locked by the caller
 * @param newTurn.queuedPosition its place in the queue, from 1; null: nothing is in its way
 * @param newTurn.joins whether it joins the run that is under way if it can (join-steered.ts)
 */
export async function createRun(
  tx: Prisma.TransactionClient,
  { instanceId, launching, agents, knowledge }: RunRuntime,
  conversation: LockedConversation,
  {
    viewer,
    input,
    stored,
    turn,
    attachedBases,
    changedTexts,
    queuedPosition,
    joins,
    messageStatus: status,
  }: NewTurn & { readonly queuedPosition: number | null; readonly joins: boolean },
): Promise<{ readonly run: Run; readonly message: Pick<Message, 'id' | 'position'> }> {
  const { content, idempotencyKey, payloadHash, attachments } = input;
  const draft = { role: 'USER', status, content, attachments: [...attachments] } as const;
  const isQueued = queuedPosition !== null;
  // Who answers is decided once the turn has begun.
  const isDecided = !isQueued && turn.orchestration === null;
  const startsRun = !isDecided
    ? { activeAgentId: null, asked: false }
    : { activeAgentId: turn.startAgentId, asked: stored.agentId !== null };
  const { branch } = input;
  if (branch) await assertMayBranch(tx, conversation.id, branch);
  if (branch && !isQueued) await beginBranch(tx, conversation.id, branch);
  const isAnswer = branch?.kind === 'REGENERATE';
  const provisional = isQueued && joins ? await nextProvisional(tx, viewer.tenantId, conversation.id) : null;
  const message = isAnswer
    ? await answerAgain(tx, conversation.id, branch.messageId, draft, startsRun)
    : await appendMessage(tx, viewer.tenantId, conversation.id, draft, {
        ...(provisional === null && { startsRun }),
        isQueued,
      });
  if (!isAnswer) await takeAttachments(tx, viewer, attachments, conversation.id, changedTexts);
  if (attachedBases !== null && status !== 'BLOCKED' && !isAnswer)
    await addAttachedDocuments(tx, knowledge, attachedBases, attachments);
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
        number: provisional ?? conversation.runCount + 1,
        idempotencyKey,
        payloadHash: agents.keys.hash(payloadHash),
        input: stored,
        userMessageId: message.id,
        scenarioId: turn.scenario?.id ?? null,
        scenarioVersion: turn.scenario?.version ?? null,
        // One that waits is current when it begins.
        isCurrent: !(isAnswer && isQueued),
        createdAt,
      },
    });
  const run = await (isQueued ? create() : launching.during(id, create));
  return { run, message };
}

/**
 * Notes in the conversation that a run answers a message again. If guardrails have found something in the text this time, the
 * message is stored as they have left it.
 */
async function answerAgain(
  tx: Prisma.TransactionClient,
  conversationId: string,
  messageId: string,
  {
    status,
    content,
    attachments,
  }: Pick<Message, 'content'> & {
    readonly status: NewTurn['messageStatus'];
    readonly attachments: readonly Attachment[];
  },
  { activeAgentId, asked }: StartsRun,
): Promise<Pick<Message, 'id' | 'position'>> {
  await tx.$executeRaw`
    UPDATE conversations SET run_count = run_count + 1, updated_at = greatest(updated_at, clock_timestamp()),
      active_agent_id = coalesce(${activeAgentId}::uuid, active_agent_id), follows_default = follows_default AND NOT ${asked}
    WHERE id = ${conversationId}::uuid`;
  const data = status === 'COMPLETE' ? {} : { status, content, attachments: [...attachments] };
  return tx.message.update({ where: { id: messageId, conversationId }, data, select: { id: true, position: true } });
}

/** The number of a message that waits to join a run, behind those that wait already. */
async function nextProvisional(
  tx: Prisma.TransactionClient,
  tenantId: string,
  conversationId: string,
): Promise<number> {
  const last = await tx.run.findFirst({
    where: { tenantId, conversationId, number: { gte: provisionalNumbers } },
    orderBy: { number: 'desc' },
    select: { number: true },
  });
  return (last?.number ?? provisionalNumbers - 1) + 1;
}
