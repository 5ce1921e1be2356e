import { z } from 'zod';

/** The places where a text is checked. */
export const guardrailStages = ['INPUT', 'OUTPUT', 'TOOL_INPUT', 'TOOL_OUTPUT'] as const;
export type GuardrailStage = (typeof guardrailStages)[number];

/** What happens with a text that is flagged. ALLOW only records it. */
export const moderationActions = ['ALLOW', 'BLOCK', 'REDACT'] as const;

/** When a text is checked: before anything of it passes, beside it, or while it is held back. */
export const guardrailModes = ['BLOCKING', 'PARALLEL', 'HOLD_BACK'] as const;

/** What a check that fails stands for. */
export const guardrailOnErrors = ['CLOSED', 'OPEN'] as const;

/** Personal data that can be recognised. */
export const piiKinds = ['EMAIL', 'PHONE', 'CREDIT_CARD', 'IBAN', 'IP_ADDRESS', 'NATIONAL_ID'] as const;
export type PiiKind = (typeof piiKinds)[number];

const check = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('MODERATION'),
    model: z.string(),
    /** Empty: all that the provider flags. */
    categories: z.array(z.string()).readonly(),
    /** From 0 to 1; null: the provider's own decision. */
    threshold: z.number().nullable(),
  }),
  z.object({
    type: z.literal('CLASSIFIER'),
    /** The row id. */
    agentId: z.string(),
    question: z.string(),
  }),
  z.object({ type: z.literal('PATTERN'), patterns: z.array(z.string()).readonly() }),
  z.object({ type: z.literal('PII'), kinds: z.array(z.enum(piiKinds)).readonly() }),
]);

const guardrail = z.object({
  name: z.string(),
  stages: z.array(z.enum(guardrailStages)).readonly(),
  check,
  action: z.enum(moderationActions),
  mode: z.enum(guardrailModes),
  /** Characters that HOLD_BACK holds back; null: to the end of the sentence. */
  window: z.number().nullable(),
  onError: z.enum(guardrailOnErrors),
});

/** A list of guardrails as it is stored in agents, scenarios and the state of waiting runs. */
export const storedGuardrails = z.array(guardrail).readonly();

/** A guardrail as it is stored: agents are row ids. */
export type Guardrail = z.output<typeof guardrail>;
export type GuardrailCheck = Guardrail['check'];

/** What a guardrail decided, as it is stored. */
export const guardDecision = z.object({
  flagged: z.boolean(),
  action: z.enum(moderationActions),
  categories: z.array(z.object({ name: z.string(), flagged: z.boolean(), score: z.number() })),
  reasoning: z.string().nullable(),
});

/**
 * Reads the guardrails of a row.
 * @throws {z.ZodError} if somebody has written something else into it: what cannot be read protects nobody, so the agent
 *   or scenario must not be used
 */
export function readGuardrails(stored: unknown): readonly Guardrail[] {
  return storedGuardrails.parse(stored);
}
