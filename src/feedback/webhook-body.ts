import { formatId, type IdKind } from '../api/ids.ts';
import type { Db } from '../database/client.ts';
import type { Feedback, Message } from '../generated/prisma/client.ts';
import { bodyVersion, webhookBody } from '../webhooks/body.ts';
import { appendDeliveries } from '../webhooks/outbox.ts';

/**
 * Writes for the webhooks of the tenant that feedback was given. One statement.
 * @param tx the transaction in which it is stored
 * @param message the answer that it is about: its text is not sent
 */
export async function tellWebhooks(tx: Db, feedback: Feedback, message: Message): Promise<void> {
  const { id, tenantId, userId, rating, comment, scenarioVersion } = feedback;
  const show = (kind: IdKind, row: string | null) => (row === null ? null : formatId(kind, row));
  const body = webhookBody.parse({
    type: 'feedback.given',
    version: bodyVersion,
    timestamp: new Date().toISOString(),
    data: {
      id: formatId('Feedback', id),
      messageId: formatId('Message', message.id),
      conversationId: formatId('Conversation', message.conversationId),
      runId: show('Run', message.runId),
      agentId: show('Agent', feedback.agentId),
      scenarioId: show('Scenario', feedback.scenarioId),
      ...{ scenarioVersion, userId, rating, comment },
      createdAt: feedback.createdAt.toISOString(),
    },
  });
  await appendDeliveries(tx, tenantId, body, { feedbackId: id });
}
