import { createHash } from 'node:crypto';
import { z } from 'zod';
import { parseId } from '../api/ids.ts';
import { integer, parseInput, text } from '../api/input.ts';
import { type Attachment, attachmentsInput } from '../conversations/attachment.ts';
import { messageContent, modelSettings } from '../conversations/input.ts';
import { guardDecision, guardrailStages } from '../guardrails/config.ts';

const turnInput = z.strictObject({
  conversationId: z.string(),
  content: messageContent.refine((content) => content.trim() !== '', 'must not be blank'),
  idempotencyKey: text(1, 255),
  after: integer(0, 2_147_483_647).nullish(),
  agentId: z.string().nullish(),
  contextSnapshotId: z.string().nullish(),
  attachments: attachmentsInput.nullish(),
  ifBusy: z.enum(['REJECT', 'ENQUEUE', 'INTERRUPT']).nullish(),
  onDisconnect: z.enum(['CONTINUE', 'CANCEL']).nullish(),
  model: modelSettings.model.nullish(),
  temperature: modelSettings.temperature.nullish(),
  maxTokens: modelSettings.maxTokens.nullish(),
});

/** The input of a turn, checked. Ids are row ids. */
export interface TurnInput {
  readonly conversationId: string;
  readonly content: string;
  readonly idempotencyKey: string;
  readonly after: number;
  readonly agentId: string | null;
  readonly contextSnapshotId: string | null;
  readonly attachments: readonly Attachment[];
  readonly ifBusy: 'REJECT' | 'ENQUEUE' | 'INTERRUPT';
  readonly onDisconnect: 'CONTINUE' | 'CANCEL';
  readonly model: string | null;
  readonly temperature: number | null;
  readonly maxTokens: number | null;
  /**
   * The SHA-256 of what the turn says, in hexadecimal: requests with the same idempotency key must agree in it. Rows hold its
   * keyed hash (secrets/key-ring.ts): of a text that was redacted, nobody can try out what it was.
   */
  readonly payloadHash: string;
}

/**
 * Checks a ChatTurnInput.
 * @throws {BadUserInputError} naming the field and its limit
 */
export function parseTurnInput(value: unknown): TurnInput {
  const input = parseInput(turnInput, value, ['input']);
  const checked = {
    conversationId: parseId('Conversation', input.conversationId, ['input', 'conversationId']),
    content: input.content,
    idempotencyKey: input.idempotencyKey,
    after: input.after ?? 0,
    agentId: input.agentId == null ? null : parseId('Agent', input.agentId, ['input', 'agentId']),
    contextSnapshotId:
      input.contextSnapshotId == null
        ? null
        : parseId('ContextSnapshot', input.contextSnapshotId, ['input', 'contextSnapshotId']),
    attachments: input.attachments ?? [],
    ifBusy: input.ifBusy ?? 'REJECT',
    onDisconnect: input.onDisconnect ?? 'CONTINUE',
    model: input.model ?? null,
    temperature: input.temperature ?? null,
    maxTokens: input.maxTokens ?? null,
  };
  return { ...checked, payloadHash: hashPayload(checked) };
}

/**
 * Hashes what a turn says. Not in it, because it may differ between tries: how a client reads the stream (`after`), and
 * what it wants of a busy conversation or a dropped socket.
 */
function hashPayload(input: Omit<TurnInput, 'payloadHash'>): string {
  const { content, agentId, contextSnapshotId, attachments, model, temperature, maxTokens } = input;
  const payload = [content, agentId, attachments, model, temperature, maxTokens];
  // Only if there is one: keys that earlier versions have stored stay valid.
  if (contextSnapshotId !== null) payload.push(contextSnapshotId);
  return createHash('sha256').update(JSON.stringify(payload)).digest('hex');
}

const guardrailResult = z.strictObject({
  id: z.string(),
  guardrail: z.string(),
  stage: z.enum(guardrailStages),
  agentId: z.string(),
  tripwireTriggered: z.boolean(),
  decision: guardDecision,
  at: z.iso.datetime(),
});

/** The part of the input that the run's row keeps, so that the run can begin later and on another instance. */
export const storedTurn = z.strictObject({
  agentId: z.string().nullable(),
  /** The context snapshot that the turn names; unset: none. */
  contextSnapshotId: z.exactOptional(z.string()),
  onDisconnect: z.enum(['CONTINUE', 'CANCEL']),
  model: z.string().nullable(),
  temperature: z.number().nullable(),
  maxTokens: z.number().nullable(),
  roles: z.array(z.string()),
  /** The results of the guardrails that have checked the text before it was stored; unset: none has. */
  guardrailResults: z.exactOptional(z.array(guardrailResult)),
  /** The request and the trace that it belongs to; unset: to none. */
  trace: z.exactOptional(z.strictObject({ requestId: z.string().nullable(), traceparent: z.string().nullable() })),
  /** The name of the one that has blocked it; unset: none has. */
  guardrailBlockedBy: z.exactOptional(z.string()),
  /** What tells them from others (guardrails/turn-guard.ts); unset: none has. */
  guardrailFingerprints: z.exactOptional(z.array(z.string())),
});
export type StoredTurn = z.output<typeof storedTurn>;
