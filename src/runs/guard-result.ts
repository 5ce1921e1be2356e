import type { GuardResult } from '../engine/guard.ts';
import type { GuardrailResult } from '../generated/prisma/client.ts';
import { guardDecision } from '../guardrails/config.ts';

/** Results of guardrails of a run that are stored and read at most. */
export const maxGuardResults = 1_000;

/** In the row of a result, beside the decision: what was checked is the text of a file. Events are without it. */
export const fileMark = { isOfFile: true } as const;

/** Whether a row is about the text of a file, and not about what the user wrote. */
export function isResultOfFile({ decision }: Pick<GuardrailResult, 'decision'>): boolean {
  return typeof decision === 'object' && decision !== null && 'isOfFile' in decision;
}

/** The result of a guardrail out of its row. */
export function readGuardResult(row: GuardrailResult): GuardResult {
  const { id, guardrail, stage, agentId, tripwireTriggered, at } = row;
  return { id, guardrail, stage, agentId, tripwireTriggered, decision: guardDecision.parse(row.decision), at };
}
