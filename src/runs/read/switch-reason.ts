import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { FeedEvent } from '../../feed/feed-event.ts';
import { readRoutingDecision } from './read.ts';

/**
 * Why the active agent was switched: the reason of the handoff, or of the choice at the start of the run or for a message.
 * @returns null if a person chose the agent, the model gave no reason, or the conversation was deleted
 */
export async function readSwitchReason(
  { tenantId, userId }: Viewer,
  db: Db,
  { handoffId, messageId, runId }: Extract<FeedEvent, { type: 'AgentSwitched' }>,
): Promise<string | null> {
  if (handoffId !== null) {
    const where = { id: handoffId, tenantId, run: { userId } };
    return (await db.handoff.findFirst({ where, select: { reason: true } }))?.reason ?? null;
  }
  if (messageId !== null) {
    const where = { id: messageId, tenantId, conversation: { userId } };
    const message = await db.message.findFirst({ where, select: { routingDecision: true } });
    return readRoutingDecision(message?.routingDecision ?? null)?.reasoning ?? null;
  }
  if (runId === null) return null;
  const run = await db.run.findFirst({ where: { id: runId, tenantId, userId }, select: { routingDecision: true } });
  return readRoutingDecision(run?.routingDecision ?? null)?.reasoning ?? null;
}
