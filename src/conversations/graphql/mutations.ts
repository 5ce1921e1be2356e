import { builder } from '../../graphql/builder.ts';
import { findRun } from '../../runs/read/read.ts';
import { createConversation } from '../create.ts';
import { createMessage } from '../messages.ts';
import { updateChatSettings } from '../settings.ts';
import { updateConversation } from '../write.ts';
import { AttachmentInput, MessageRef, MessageRole, ToolCallStatus } from './message-types.ts';
import { ChatSettingsRef, ConversationRef } from './types.ts';

/** CreateConversationInput: turns take it too. */
export const CreateConversationInput = builder.inputType('CreateConversationInput', {
  description: 'The properties of a new conversation. All of them are optional.',
  fields: (t) => ({
    id: t.id({
      description:
        'An id of the client’s choice: `conv_` and a new UUID in lower case, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. A second request with the same id and the same input returns the conversation that the first one created; with another input it is CONFLICT, and FORBIDDEN if the conversation is somebody else’s. If omitted, the server chooses the id.',
    }),
    title: t.string({
      description: 'The title, 1 to 200 characters. If omitted, the title is taken from the first user message.',
    }),
    scenarioKey: t.string({
      description:
        'The key of an active scenario, such as `support`. Its agents take part in the conversation. If omitted, one agent answers and no handoffs are made.',
    }),
    agentId: t.id({
      description:
        'The agent that answers first; with `scenarioKey`, a member of the scenario. If omitted, the root agent of the scenario or, without a scenario, the default agent.',
    }),
    projectId: t.id({
      description:
        'The id or the key of a project in which the viewer has the role EDITOR, such as `web-shop`. Its scenarios take precedence over the tenant’s of the same key, and its agents can be used. It never changes.',
    }),
    idempotencyKey: t.string({
      description:
        'A key of the client’s choice, 1 to 255 characters, such as a UUID. A second request with the same key returns the conversation that the first one created, or CONFLICT if its input differs.',
    }),
  }),
});

const UpdateConversationInput = builder.inputType('UpdateConversationInput', {
  description:
    'The changes to a conversation. Omitted fields stay as they are; null restores the value of a new conversation.',
  fields: (t) => ({
    title: t.string({
      description: 'The new title, 1 to 200 characters. If null, the title is taken from the first user message.',
    }),
    scenarioKey: t.string({
      description: 'The key of another scenario. Its root agent becomes the active agent. Null removes the scenario.',
    }),
    agentId: t.id({
      description:
        'The new active agent, which answers next. If null, the root agent of the scenario or, without a scenario, the default agent.',
    }),
    contactId: t.id({
      description:
        'The person with whom the conversation is: a contact of the tenant, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. Null: nobody who is known.',
    }),
    isArchived: t.boolean({
      description:
        'Whether the conversation is archived: it is then left out of lists that do not ask for archived ones. Null: it is not. `updatedAt` stays.',
    }),
    isPinned: t.boolean({
      description:
        'Whether the conversation is pinned. Null: it is not. `updatedAt` stays, and so does the order of lists: `conversations(isPinned: true)` lists the pinned ones.',
    }),
  }),
});

const MessageToolCallInput = builder.inputType('MessageToolCallInput', {
  description: 'A tool call that has ended, of a message that is imported.',
  fields: (t) => ({
    callId: t.string({
      required: true,
      description:
        'The id that the model gave the call, 1 to 255 characters, unique in the message. Example: `call_8fK2`.',
    }),
    name: t.string({
      required: true,
      description: 'The name of the tool, 1 to 255 characters. Example: `lookup_order`.',
    }),
    arguments: t.string({
      required: true,
      description: 'The arguments as JSON text, at most 100,000 characters. Example: `{"orderNumber":"1042"}`.',
    }),
    result: t.field({
      type: 'JSON',
      description: 'The result of the tool, at most 100,000 characters as JSON. Null if it has none.',
    }),
    status: t.field({
      type: ToolCallStatus,
      description:
        'How the call ended: SUCCEEDED, FAILED, DENIED or CANCELLED. If omitted, SUCCEEDED or, with an `error`, FAILED.',
    }),
    error: t.string({ description: 'The cause of the failure, 1 to 10,000 characters. Null if it did not fail.' }),
  }),
});

const CreateMessageInput = builder.inputType('CreateMessageInput', {
  description: 'A message to add to a conversation without starting a turn.',
  fields: (t) => ({
    conversationId: t.id({
      required: true,
      description: 'The id of the conversation, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
    }),
    role: t.field({ type: MessageRole, required: true, description: 'The author of the message.' }),
    content: t.string({ required: true, description: 'The text, 1 to 100,000 characters.' }),
    attachments: t.field({
      type: [AttachmentInput],
      description: 'The files that belong to the message, by their URLs; with `attachmentIds`, at most 20.',
    }),
    attachmentIds: t.idList({
      description:
        'Uploads of `uploadAttachment` that belong to the message. Each belongs to the conversation from then on, and is deleted with it.',
    }),
    runId: t.id({ description: 'The run to which the message belongs; a run of the same conversation.' }),
    routingDecision: t.field({
      type: 'JSON',
      description:
        'How the agent was chosen: a JSON object with the fields of RoutingDecision, and agent ids in place of agents. Example: `{"selectedAgents": ["agt_…"], "confidence": 1, "reasoning": "Chosen by the user."}`.',
    }),
    toolCalls: t.field({
      type: [MessageToolCallInput],
      description: 'The finished tool calls of an ASSISTANT message, at most 100.',
    }),
    idempotencyKey: t.string({
      description:
        'A key of the client’s choice, 1 to 255 characters, unique within the conversation. A second request with the same key returns the message that the first one created, or CONFLICT if its input differs.',
    }),
  }),
});

const UpdateChatSettingsInput = builder.inputType('UpdateChatSettingsInput', {
  description: 'The changes to the settings. Omitted fields stay as they are; null restores the default.',
  fields: (t) => ({
    enabledTools: t.stringList({
      description:
        'The names of the tools that turns may use, at most 100. Names that are enabled already are accepted even if the tool is unavailable. Null or empty: all tools of the agent.',
    }),
    enabledAgents: t.idList({
      description:
        'The ids of the agents that may take part in turns, at most 100. Null or empty: all agents of the scenario.',
    }),
    model: t.string({
      description:
        'A model that replaces the agent’s own, 1 to 200 characters. Example: `gpt-5-mini`. Null: the agent’s own model.',
    }),
    temperature: t.float({
      description:
        'The sampling temperature, 0.0 to 2.0. Null and 0.7 count as not set: the agent’s own temperature applies, otherwise the model’s.',
    }),
    maxTokens: t.int({
      description:
        'The maximum number of tokens of one model answer, 1 to 32,000. Null and 2,000 count as not set: the agent’s own limit applies, otherwise no limit is sent to the model.',
    }),
  }),
});

builder.mutationFields((t) => ({
  createConversation: t.prismaField({
    type: ConversationRef,
    description: 'Creates a conversation of the viewer.',
    args: { input: t.arg({ type: CreateConversationInput, description: 'The properties of the conversation.' }) },
    resolve: (query, _root, args, context) =>
      createConversation(context.viewer, context.db, context.feed, args.input, query, context.runs.knownConversations),
  }),
  updateConversation: t.prismaField({
    type: ConversationRef,
    description:
      'Changes what the input names of a conversation: title, scenario, active agent, contact, isPinned, isArchived. Running turns keep the scenario and the agents with which they started.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      input: t.arg({ type: UpdateConversationInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateConversation(context.viewer, context.db, context.feed, args.id, args.input, query),
  }),
  createMessage: t.prismaField({
    type: MessageRef,
    description:
      'Adds a message to a conversation without starting a turn. Use it to import a history. The guardrails for INPUT of the active agent and of the scenario check it, whatever its role; if they ask a provider, RATE_LIMIT_TURNS limits it.',
    args: { input: t.arg({ type: CreateMessageInput, required: true, description: 'The message.' }) },
    resolve: (query, _root, args, context) =>
      createMessage(
        context.viewer,
        {
          db: context.db,
          feed: context.feed,
          agents: context.agentDeps,
          knowledge: context.knowledge,
          turnLimit: context.runs.turnLimit,
          clientGone: context.signal,
          findRun,
        },
        args.input,
        query,
      ),
  }),
  updateChatSettings: t.prismaField({
    type: ChatSettingsRef,
    description: 'Changes the viewer’s settings. They apply to turns that start afterwards.',
    args: { input: t.arg({ type: UpdateChatSettingsInput, required: true, description: 'The fields to change.' }) },
    resolve: (query, _root, args, context) =>
      updateChatSettings(context.viewer, context.db, context.agentDeps.toolNames, args.input, query),
  }),
}));
