import type { GuardResult } from '../engine/guard.ts';
import type { GuardrailResult } from '../generated/prisma/client.ts';
import { guardDecision } from '../guardrails/config.ts';

/** The result of a guardrail out of its row. */
export function readGuardResult(row: GuardrailResult): GuardResult {
  const { id, guardrail, stage, agentId, tripwireTriggered, at } = row;
  return { id, guardrail, stage, agentId, tripwireTriggered, decision: guardDecision.parse(row.decision), at };
}
