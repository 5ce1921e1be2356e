import type { GuardResult } from '../engine/guard.ts';
import type { GuardrailResult } from '../generated/prisma/client.ts';
import { guardDecision } from '../guardrails/config.ts';

/** Results of guardrails of a run that are stored and read at most. */
export const maxGuardResults = 1_000;

/** The result of a guardrail out of its row. */
export function readGuardResult(row: GuardrailResult): GuardResult {
  const { id, guardrail, stage, agentId, tripwireTriggered, at } = row;
  return { id, guardrail, stage, agentId, tripwireTriggered, decision: guardDecision.parse(row.decision), at };
}
