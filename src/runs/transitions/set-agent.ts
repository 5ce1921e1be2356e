import type { StoredRoutingDecision } from '../../conversations/routing-decision.ts';
import type { Prisma } from '../../generated/prisma/client.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * The statement that notes in the row of a run which agent is active.
 * @param routing how the agent was chosen, if the run begins with it
 */
export function setAgent(
  { db }: RunRuntime,
  runId: string,
  agentId: string,
  routing?: StoredRoutingDecision,
): Prisma.PrismaPromise<Prisma.BatchPayload> {
  return db.run.updateMany({
    where: { id: runId },
    data: { agentId, ...(routing && { routingDecision: routing }) },
  });
}
