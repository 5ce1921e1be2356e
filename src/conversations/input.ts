import { z } from 'zod';
import { badInput, decimal, integer, json, list, modelName, text } from '../api/input.ts';
import type { Message } from '../generated/prisma/client.ts';
import { projectName } from '../projects/input.ts';
import type { ToolCallDraft } from './append.ts';
import { attachmentIdsInput, attachmentsInput } from './attachment.ts';

/** The text of a message: 1 to 100,000 characters. */
export const messageContent = text(1, 100_000);

/** The settings of the model that a viewer, or one turn, can choose. */
export const modelSettings = {
  model: modelName,
  temperature: decimal(0, 2),
  maxTokens: integer(1, 32_000),
};

const title = text(1, 200).refine((value) => value.trim() !== '', 'must not be blank');
const key = text(1, 255);
const idempotencyKey = text(1, 255);

/** CreateConversationInput. */
export const createConversationInput = z.strictObject({
  id: z.string().nullish(),
  title: title.nullish(),
  scenarioKey: key.nullish(),
  agentId: z.string().nullish(),
  projectId: projectName.nullish(),
  idempotencyKey: idempotencyKey.nullish(),
});

/** UpdateConversationInput. */
export const updateConversationInput = z.strictObject({
  title: title.nullish(),
  scenarioKey: key.nullish(),
  agentId: z.string().nullish(),
  contactId: z.string().nullish(),
  isArchived: z.boolean().nullish(),
  isPinned: z.boolean().nullish(),
});

const toolCallInput = z.strictObject({
  callId: text(1, 255),
  name: text(1, 255),
  arguments: text(0, 100_000),
  // `json` first: it checks the depth before z.json, which is recursive.
  result: json(100_000).pipe(z.json()).optional(),
  status: z
    .enum(['SUCCEEDED', 'FAILED', 'DENIED', 'CANCELLED'], {
      error: 'must be SUCCEEDED, FAILED, DENIED or CANCELLED: a stored call has ended',
    })
    .nullish(),
  error: text(1, 10_000).nullish(),
});

/** CreateMessageInput; `parseRoutingDecision` checks its routing decision. */
export const createMessageInput = z.strictObject({
  conversationId: z.string(),
  role: z.enum(['USER', 'ASSISTANT', 'SYSTEM']),
  content: messageContent,
  attachments: attachmentsInput.nullish(),
  attachmentIds: attachmentIdsInput.nullish(),
  runId: z.string().nullish(),
  routingDecision: z.unknown().optional(),
  toolCalls: list(toolCallInput, 100).nullish(),
  idempotencyKey: idempotencyKey.nullish(),
});

/**
 * The tool calls of a CreateMessageInput, as they are stored.
 * @throws {BadUserInputError} if the message is not an assistant's, or a callId is duplicated
 */
export function parseToolCalls(
  role: Message['role'],
  calls: readonly z.output<typeof toolCallInput>[],
): ToolCallDraft[] {
  if (calls.length > 0 && role !== 'ASSISTANT') throw badInput(['input', 'toolCalls'], 'needs the role ASSISTANT');
  const seen = new Set<string>();
  return calls.map((call, index) => {
    if (seen.has(call.callId)) throw badInput(['input', 'toolCalls', index, 'callId'], 'is duplicated');
    seen.add(call.callId);
    const error = call.error ?? null;
    return {
      callId: call.callId,
      name: call.name,
      arguments: call.arguments,
      result: call.result ?? null,
      status: call.status ?? (error === null ? 'SUCCEEDED' : 'FAILED'),
      error,
    };
  });
}

const toolName = z
  .string({ error: 'must be the name of a tool' })
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be the name of a tool: 1 to 64 letters, digits, _ or -');

/** UpdateChatSettingsInput. */
export const updateSettingsInput = z.strictObject({
  enabledTools: list(toolName, 100).nullish(),
  enabledAgents: list(z.string(), 100).nullish(),
  model: modelSettings.model.nullish(),
  temperature: modelSettings.temperature.nullish(),
  maxTokens: modelSettings.maxTokens.nullish(),
});
