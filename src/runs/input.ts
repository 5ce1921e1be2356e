import { createHash } from 'node:crypto';
import { z } from 'zod';
import { parseId } from '../api/ids.ts';
import { badInput, integer, parseInput, text } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { type Attachment, attachmentIdsInput, attachmentsInput, byAddress } from '../conversations/attachment.ts';
import { createConversationInput, messageContent, modelSettings } from '../conversations/input.ts';
import { guardDecision, guardrailStages } from '../guardrails/config.ts';
import { storeTrace } from '../telemetry/scope.ts';

const turnInput = z.strictObject({
  conversationId: z.string(),
  newConversation: createConversationInput.nullish(),
  content: messageContent.refine((content) => content.trim() !== '', 'must not be blank').nullish(),
  editMessageId: z.string().nullish(),
  regenerateMessageId: z.string().nullish(),
  idempotencyKey: text(1, 255),
  after: integer(0, 2_147_483_647).nullish(),
  agentId: z.string().nullish(),
  contextSnapshotId: z.string().nullish(),
  attachments: attachmentsInput.nullish(),
  attachmentIds: attachmentIdsInput.nullish(),
  ifBusy: z.enum(['REJECT', 'ENQUEUE', 'STEER', 'INTERRUPT']).nullish(),
  onDisconnect: z.enum(['CONTINUE', 'CANCEL']).nullish(),
  model: modelSettings.model.nullish(),
  temperature: modelSettings.temperature.nullish(),
  maxTokens: modelSettings.maxTokens.nullish(),
});

/** Where the branch of a turn begins: beside a user message, or beside the answer to one. */
const turnBranch = z.strictObject({
  kind: z.enum(['EDIT', 'REGENERATE']),
  /** The row id of the message that was named: of an answer, for REGENERATE, or of a user message. */
  messageId: z.string(),
});
export type TurnBranch = z.output<typeof turnBranch>;

/** The input of a turn, checked. Ids are row ids. */
export interface TurnInput {
  readonly conversationId: string;
  /** What the conversation is created as, if it does not exist; null: it exists. */
  readonly newConversation: z.output<typeof createConversationInput> | null;
  /** Of a turn that makes an answer again: that of the message that it answers, as soon as it was read. */
  readonly content: string;
  /** Null: the turn goes on with the active branch. */
  readonly branch: TurnBranch | null;
  readonly idempotencyKey: string;
  readonly after: number;
  readonly agentId: string | null;
  readonly contextSnapshotId: string | null;
  /** The uploads among them are added as soon as they were read. */
  readonly attachments: readonly Attachment[];
  /** The public ids of the uploads that the turn names. */
  readonly attachmentIds: readonly string[];
  readonly ifBusy: 'REJECT' | 'ENQUEUE' | 'STEER' | 'INTERRUPT';
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
  const newConversation = input.newConversation ?? null;
  if (newConversation?.id != null && newConversation.id !== input.conversationId)
    throw badInput(['input', 'newConversation', 'id'], 'must be omitted, or be the same as input.conversationId');
  const checked = {
    conversationId: parseId('Conversation', input.conversationId, ['input', 'conversationId']),
    newConversation,
    content: chooseContent(input),
    branch: chooseBranch(input),
    idempotencyKey: input.idempotencyKey,
    after: input.after ?? 0,
    agentId: input.agentId == null ? null : parseId('Agent', input.agentId, ['input', 'agentId']),
    contextSnapshotId:
      input.contextSnapshotId == null
        ? null
        : parseId('ContextSnapshot', input.contextSnapshotId, ['input', 'contextSnapshotId']),
    attachmentIds: input.attachmentIds ?? [],
    ifBusy: input.ifBusy ?? 'REJECT',
    onDisconnect: input.onDisconnect ?? 'CONTINUE',
    model: input.model ?? null,
    temperature: input.temperature ?? null,
    maxTokens: input.maxTokens ?? null,
  };
  const attachments = input.attachments ?? [];
  return { ...checked, attachments: byAddress(attachments), payloadHash: hashPayload({ ...checked, attachments }) };
}

type RawTurn = z.output<typeof turnInput>;

function chooseBranch({ editMessageId, regenerateMessageId, ifBusy }: RawTurn): TurnBranch | null {
  if (ifBusy === 'STEER' && (editMessageId != null || regenerateMessageId != null))
    throw badInput(
      ['input', 'ifBusy'],
      'must not be STEER if editMessageId or regenerateMessageId is given: a branch is a turn of its own',
    );
  if (editMessageId != null && regenerateMessageId != null)
    throw badInput(['input', 'regenerateMessageId'], 'must be left out if editMessageId is given');
  if (editMessageId != null)
    return { kind: 'EDIT', messageId: parseId('Message', editMessageId, ['input', 'editMessageId']) };
  if (regenerateMessageId == null) return null;
  return { kind: 'REGENERATE', messageId: parseId('Message', regenerateMessageId, ['input', 'regenerateMessageId']) };
}

/** The text of the message; empty for a turn that writes none. */
function chooseContent({ content, attachments, attachmentIds, regenerateMessageId }: RawTurn): string {
  if (regenerateMessageId == null) {
    if (content == null) throw badInput(['input', 'content'], 'is required unless regenerateMessageId is given');
    return content;
  }
  const problem = 'must be left out if regenerateMessageId is given: the message stays as it is';
  if (content != null) throw badInput(['input', 'content'], problem);
  if (attachments != null && attachments.length > 0) throw badInput(['input', 'attachments'], problem);
  if (attachmentIds != null && attachmentIds.length > 0) throw badInput(['input', 'attachmentIds'], problem);
  return '';
}

/**
 * Hashes what a turn says. Not in it, because it may differ between tries: how a client reads the stream (`after`), how the
 * conversation is created if it does not exist, and
 * what it wants of a busy conversation or a dropped socket.
 */
function hashPayload(
  input: Omit<TurnInput, 'payloadHash' | 'attachments'> & { readonly attachments: readonly unknown[] },
): string {
  const { attachmentIds } = input;
  const { content, branch, agentId, contextSnapshotId, attachments, model, temperature, maxTokens } = input;
  const payload: unknown[] = [content, agentId, attachments, model, temperature, maxTokens];
  // Only if there is one: keys that earlier versions have stored stay valid.
  if (contextSnapshotId !== null) payload.push(contextSnapshotId);
  if (branch !== null) payload.push(branch.kind, branch.messageId);
  if (attachmentIds.length > 0) payload.push({ attachmentIds });
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
  /** Where its branch begins; unset: it goes on with the active one. */
  branch: z.exactOptional(turnBranch),
  /** Whether the message joins the run that is under way if it can; unset: it does not. */
  steers: z.exactOptional(z.literal(true)),
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

/** What the row of a new run keeps of its input. */
export function storedTurnOf(viewer: Viewer, input: TurnInput): StoredTurn {
  const { agentId, contextSnapshotId, onDisconnect, model, temperature, maxTokens } = input;
  const snapshot = contextSnapshotId === null ? {} : { contextSnapshotId };
  const steers = input.ifBusy === 'STEER' ? ({ steers: true } as const) : {};
  const settings = { agentId, ...snapshot, ...steers, onDisconnect, model, temperature, maxTokens };
  return { ...settings, roles: [...viewer.roles], ...storeTrace() };
}
