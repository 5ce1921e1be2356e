import { z } from 'zod';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { type Routed, type RoutingDecision, routingBases } from '../engine/routing.ts';

/** A decision as a message stores it, with what it rests on. */
const storedDecision = z.object({
  rootAgentId: z.string(),
  confidence: z.number(),
  scenarioId: z.string(),
  basis: z.enum(routingBases),
});

/** The last decision of a conversation. */
export type LastDecision = Readonly<Pick<z.output<typeof storedDecision>, 'rootAgentId' | 'confidence' | 'basis'>>;

/** A decision as rows store it: readers of the graph see the fields of RoutingDecision only. */
export type RoutedColumn = RoutingDecision & Pick<Routed, 'scenarioId' | 'basis'>;

/** A decision for the column `routing_decision` of messages and runs. */
export function writeRouted({ decision, scenarioId, basis }: Routed): RoutedColumn {
  return { ...decision, scenarioId, basis };
}

/** Whether a column holds a decision of orchestration, and no other. */
export function isRouted(column: unknown): boolean {
  return storedDecision.safeParse(column).success;
}

/**
 * The last decision that orchestration made in a conversation in its present scenario. One statement.
 * @param conversationId the row id
 * @returns null: none was made
 */
export async function readLastDecision(
  { tenantId }: Viewer,
  db: Pick<Db, '$queryRaw'>,
  conversationId: string,
  scenarioId: string,
): Promise<LastDecision | null> {
  const [row] = await db.$queryRaw<{ decision: unknown }[]>`
    SELECT routing_decision AS decision FROM messages
    WHERE conversation_id = ${conversationId}::uuid AND tenant_id = ${tenantId} AND routing_decision IS NOT NULL
      AND position IS NOT NULL AND routing_decision->>'scenarioId' = ${scenarioId}
    ORDER BY position DESC LIMIT 1`;
  // A client can store decisions with its messages, but none of these.
  return storedDecision.safeParse(row?.decision).data ?? null;
}

/** What a certain decision loses of its confidence with each message for which it is used again. */
const fading = 0.05;
/** Characters of a message that can be the answer to a question. */
const maxReplyLength = 40;
/** Characters at the end of an answer in which a question is looked for. */
const questionLength = 300;
const questionMark = /[?？؟՞፧]/u;

/**
 * Whether the last decision holds for a message, so that no classifier is asked: a classifier made it, its agent is still the
 * active one, that agent has just asked the user something, and the message is a short reply that asks nothing itself. Each
 * use makes the decision a little less certain; below the threshold it holds no longer.
 * @returns the confidence that is left; null: it does not hold
 */
export function findHeldConfidence(
  last: LastDecision | null,
  now: {
    readonly currentAgentId: string | null;
    readonly threshold: number;
    /** The last text of the agent; null: it has said nothing. */
    readonly lastAnswer: string | null;
    readonly text: string;
  },
): number | null {
  if (last === null || (last.basis !== 'CLASSIFIER' && last.basis !== 'LAST_DECISION')) return null;
  if (last.rootAgentId !== now.currentAgentId || now.lastAnswer === null) return null;
  const reply = now.text.trim();
  const isReply = reply.length <= maxReplyLength && !questionMark.test(reply);
  if (!isReply || !questionMark.test(now.lastAnswer.trimEnd().slice(-questionLength))) return null;
  const left = Math.round((last.confidence - fading) * 1000) / 1000;
  return left >= now.threshold && left > 0 ? left : null;
}
