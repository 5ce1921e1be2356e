import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { MessageQuery } from '../conversations/append.ts';
import { readMessage } from '../conversations/messages.ts';
import type { Database, Db } from '../database/client.ts';
import type { Feedback, Message } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { type GivenFeedback, parseFeedback } from './input.ts';
import { tellWebhooks } from './webhook-body.ts';

/**
 * Stores what the viewer thinks of an answer in one of their conversations, in place of what they thought before; the
 * webhooks of the tenant are told in the same transaction. The same again changes nothing, and tells nobody.
 * @param args of setFeedback: a rating of null removes the feedback
 * @returns the message
 * @throws {BadUserInputError} naming the argument; also for a message that no agent wrote; {@link NotFoundError};
 *   {@link ForbiddenError}; {@link ConflictError} if the message is still being written, or was deleted meanwhile
 */
export async function setFeedback(
  viewer: Viewer,
  reads: SizedReads & { readonly db: Database },
  args: unknown,
  query: MessageQuery = {},
): Promise<Message> {
  const { rating, ...given } = parseFeedback(args);
  const id = formatId('Message', given.messageId);
  const message = await readMessage(viewer, reads, id, query);
  if (message.role !== 'ASSISTANT') throw badInput(['messageId'], 'must be the id of an answer of an agent');
  if (message.status === 'STREAMING')
    throw new ConflictError(`The message ${id} is still being written. Try again later.`);
  if (rating === null) {
    const { tenantId, userId } = viewer;
    await reads.db.feedback.deleteMany({ where: { tenantId, userId, messageId: given.messageId } });
    return message;
  }
  await reads.db.$transaction(async (tx) => {
    const changed = await storeFeedback(viewer, tx, { ...given, rating });
    if (changed) await tellWebhooks(tx, changed, message);
  });
  return message;
}

/** @returns null: it was there already */
async function storeFeedback(
  { tenantId, userId }: Viewer,
  tx: Db,
  { messageId, rating, comment }: GivenFeedback,
): Promise<Feedback | null> {
  const [stored] = await tx.$queryRaw<Feedback[]>`
    INSERT INTO feedback AS f (id, tenant_id, message_id, user_id, agent_id, scenario_id, scenario_version, rating, comment)
    SELECT ${randomUUIDv7()}::uuid, m.tenant_id, m.id, c.user_id, m.agent_id, r.scenario_id, r.scenario_version,
      ${rating}::"FeedbackRating", ${comment}
    FROM messages AS m
    JOIN conversations AS c ON c.tenant_id = m.tenant_id AND c.id = m.conversation_id
    LEFT JOIN runs AS r ON r.conversation_id = m.conversation_id AND r.id = m.run_id
    WHERE m.tenant_id = ${tenantId} AND m.id = ${messageId}::uuid AND c.user_id = ${userId}
    ON CONFLICT (tenant_id, message_id) DO UPDATE SET rating = EXCLUDED.rating, comment = EXCLUDED.comment
      WHERE (f.rating, f.comment) IS DISTINCT FROM (EXCLUDED.rating, EXCLUDED.comment)
    RETURNING f.id, f.tenant_id AS "tenantId", f.message_id AS "messageId", f.user_id AS "userId", f.agent_id AS "agentId",
      f.scenario_id AS "scenarioId", f.scenario_version AS "scenarioVersion", f.rating, f.comment, f.created_at AS "createdAt"`;
  return stored ?? null;
}
