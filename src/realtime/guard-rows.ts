import type { GuardResult } from '../engine/guard.ts';
import type { RealtimeSession } from '../generated/prisma/client.ts';

/** Makes the rows of results of guardrails in a session. */
export function toResultRow({ tenantId, id: sessionId }: Pick<RealtimeSession, 'tenantId' | 'id'>) {
  return ({ id, guardrail, stage, agentId, tripwireTriggered, decision, at }: GuardResult) => ({
    id,
    tenantId,
    sessionId,
    agentId,
    guardrail,
    stage,
    tripwireTriggered,
    decision: { ...decision, categories: decision.categories.map((category) => ({ ...category })) },
    at,
  });
}
