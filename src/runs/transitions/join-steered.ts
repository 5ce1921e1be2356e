import type { SteeringMessage } from '../../engine/steering.ts';
import type { Message, Prisma, Run } from '../../generated/prisma/client.ts';
import { withAttachments } from '../attached-text.ts';
import { storedTurn } from '../input.ts';
import { LeaseLost } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { provisionalNumbers } from '../statuses.ts';
import { isOwned } from './lease.ts';
import { lockConversation } from './lock-conversation.ts';
import { placeMessage } from './place-message.ts';

/** A message that joins a run, with its row. */
export interface JoinedMessage extends SteeringMessage {
  readonly message: Pick<Message, 'id' | 'content' | 'attachments'>;
}

/** So many messages join a run at most; those that come after are turns of their own. */
const maxSteered = 50;

/**
 * Lets the messages that wait for it join a run, before a model step: they are listed at the end of the active branch, their
 * keys lead to the run from now on, and they are no turns any more. Sent again after a lost answer, it returns the same ones.
 * A message that a guardrail has blocked does not join: it becomes a turn of its own, which the guardrail stops.
 * @param at.firstSeq the seq of the event that reports the first of them
 * @throws {LeaseLost} with nothing written, if this process has no lease of the run
 */
export async function joinSteered(
  runtime: RunRuntime,
  run: Run,
  { step, firstSeq }: { readonly step: number; readonly firstSeq: number },
): Promise<readonly JoinedMessage[]> {
  const { id: runId, tenantId, conversationId } = run;
  return runtime.db.$transaction(async (tx) => {
    await lockConversation(tx, conversationId);
    const [owned] = await tx.$queryRaw<{ isCancelled: boolean }[]>`
      SELECT cancel_requested_at IS NOT NULL AS "isCancelled" FROM runs WHERE ${isOwned(runtime, run)} FOR NO KEY UPDATE`;
    if (!owned) throw new LeaseLost(runId);
    const before = await tx.steeredMessage.findMany({
      where: { runId, tenantId },
      select: { seq: true, message: { select: { id: true, content: true, attachments: true } } },
      orderBy: { seq: 'asc' },
    });
    const joined: JoinedMessage[] = before
      .filter(({ seq }) => seq >= firstSeq)
      .map(({ message }) => ({ message, messageId: message.id, content: withAttachments(message), results: [] }));
    if (owned.isCancelled) return joined;

    const waiting = await tx.run.findMany({
      where: {
        ...{ conversationId, tenantId, status: 'QUEUED', number: { gte: provisionalNumbers } },
        userMessage: { status: { not: 'BLOCKED' } },
      },
      include: { userMessage: true },
      orderBy: { number: 'asc' },
      take: Math.max(maxSteered - before.length, 0),
    });
    for (const { id, userMessage, idempotencyKey, payloadHash, input } of waiting) {
      // Each is reported by an event, and each result of a guardrail about it by another.
      const seq = joined.reduce((sum, { results }) => sum + 1 + results.length, firstSeq);
      const key = { tenantId, conversationId, idempotencyKey, payloadHash };
      await placeMessage(tx, conversationId, userMessage.id);
      await tx.message.update({ where: { id: userMessage.id, tenantId }, data: { runId, step } });
      await tx.steeredMessage.create({ data: { ...key, messageId: userMessage.id, runId, seq } });
      await tx.run.delete({ where: { id, tenantId, status: 'QUEUED' } });
      const results = (storedTurn.parse(input).guardrailResults ?? [])
        .filter(({ tripwireTriggered }) => tripwireTriggered)
        .map((result) => ({ ...result, at: new Date(result.at) }));
      joined.push({ message: userMessage, messageId: userMessage.id, content: withAttachments(userMessage), results });
    }
    return joined;
  });
}

/**
 * Makes turns of the messages that wait to join a run: they get the next numbers of their conversation, in the order in which
 * they came.
 * @param runId that of the one which is to be a turn; null: all of them
 * The caller holds the lock on the conversation's row.
 */
export async function numberSteered(
  tx: Prisma.TransactionClient,
  conversationId: string,
  runId: string | null = null,
): Promise<void> {
  await tx.$executeRaw`
    WITH waiting AS (
      SELECT id, row_number() OVER (ORDER BY number) AS place FROM runs
      WHERE conversation_id = ${conversationId}::uuid AND number >= ${provisionalNumbers}::int
        AND id = coalesce(${runId}::uuid, id)
    ), counted AS (
      SELECT run_count FROM conversations WHERE id = ${conversationId}::uuid
    ), conversation AS (
      UPDATE conversations SET run_count = conversations.run_count + (SELECT count(*) FROM waiting)
      WHERE id = ${conversationId}::uuid AND EXISTS (SELECT 1 FROM waiting)
    )
    UPDATE runs SET number = counted.run_count + waiting.place,
      queued_position = waiting.place + (
        SELECT count(*) FROM runs WHERE conversation_id = ${conversationId}::uuid AND status = 'QUEUED'
          AND number < ${provisionalNumbers}::int)
    FROM waiting, counted WHERE runs.id = waiting.id`;
}
