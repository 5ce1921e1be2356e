import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, settleNode } from '../../graphql/selection.ts';
import { type Attachment as AttachmentShape, storedAttachments } from '../attachment.ts';
import { createMessage, readMessage } from '../messages.ts';
import { makePreview } from '../text.ts';

const MessageRole = builder.enumType('MessageRole', {
  description: 'The author of a message.',
  values: {
    USER: { description: 'The user.' },
    ASSISTANT: { description: 'An agent.' },
    SYSTEM: { description: 'The application. Agents read it as an instruction.' },
  } as const,
});

const MessageStatus = builder.enumType('MessageStatus', {
  description: 'The state of a message.',
  values: {
    COMPLETE: { description: 'The message is complete.' },
    STREAMING: { description: 'An agent is writing the message.' },
    PARTIAL: { description: 'The run failed or was cancelled. The text up to that point is stored.' },
    REDACTED: { description: 'A guardrail removed the text.' },
  } as const,
});

const MessageSource = builder.enumType('MessageSource', {
  description: 'The origin of a message.',
  values: {
    CHAT: { description: 'It belongs to a turn, or a user wrote it.' },
    REALTIME: { description: 'It comes from the transcript of a realtime session.' },
    IMPORT: { description: '`createMessage` added it on behalf of an agent or the application.' },
  } as const,
});

const Attachment = builder.objectRef<AttachmentShape>('Attachment').implement({
  description: 'A file that belongs to a message. The server stores a reference to it, not the file itself.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The file name to show to people. Example: `invoice.pdf`.' }),
    type: t.exposeString('type', { description: 'The media type. Example: `image/png`.' }),
    url: t.exposeString('url', { description: 'The http or https URL of the file.' }),
    size: t.exposeInt('size', { description: 'The size in bytes.' }),
    knowledgeBaseId: t.exposeID('knowledgeBaseId', {
      nullable: true,
      description: 'The knowledge base that contains the file. Null if there is none.',
    }),
  }),
});

/** Attachments as clients give them; turns take them too. */
export const AttachmentInput = builder.inputType('AttachmentInput', {
  description: 'A reference to a file that belongs to a message. The server does not store the file itself.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'The file name to show to people, 1 to 255 characters. Example: `invoice.pdf`.',
    }),
    type: t.string({ required: true, description: 'The media type, 1 to 255 characters. Example: `image/png`.' }),
    url: t.string({
      required: true,
      description:
        'The http or https URL of the file, at most 2,048 characters. Example: `https://files.example.com/invoice.pdf`.',
    }),
    size: t.int({ required: true, description: 'The size in bytes.' }),
    knowledgeBaseId: t.id({ description: 'The knowledge base that contains the file. Null if there is none.' }),
  }),
});

/** Messages in the graph. */
export const MessageRef = builder.prismaObject('Message', {
  fields: (t) => ({
    conversation: t.relation('conversation', { description: 'The conversation of the message.' }),
    role: t.field({
      type: MessageRole,
      description: 'The author: the user, an agent or the application.',
      resolve: (message) => message.role,
    }),
    status: t.field({
      type: MessageStatus,
      description:
        'The state of the message. PARTIAL if its run failed or was cancelled: the text up to that point is stored.',
      resolve: (message) => message.status,
    }),
    content: t.exposeString('content', {}),
    preview: t.string({
      description: 'The beginning of the text on one line, with `…` at the end if the text is longer.',
      args: {
        length: t.arg.int({
          defaultValue: 100,
          description: 'The maximum length in characters, 1 to 1,000, `…` included.',
        }),
      },
      resolve: (message, { length }) => {
        const most = length ?? 100;
        if (most < 1 || most > 1_000) throw badInput(['length'], 'must be an integer from 1 to 1,000');
        return makePreview(message.content, most);
      },
    }),
    agent: t.relation('agent', {
      nullable: true,
      description: 'The agent that wrote the message. Null for messages of the user and of the application.',
    }),
    attachments: t.field({
      type: [Attachment],
      description: 'The files that belong to the message.',
      resolve: (message) => storedAttachments.parse(message.attachments),
    }),
    source: t.field({
      type: MessageSource,
      description: 'The origin of the message.',
      resolve: (message) => message.source,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the message was created.' }),
  }),
});

builder.nodeRef(MessageRef, {
  id: { resolve: (message: typeof MessageRef.$inferType) => message.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(
      readMessage(context.viewer, context.db, formatId('Message', row), includeUnder(context, info, 'Message')),
    ),
});

builder.queryField('message', (t) =>
  t.prismaField({
    type: MessageRef,
    nullable: true,
    description:
      'One message of a conversation of the viewer. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The message’s id, such as `msg_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readMessage(context.viewer, context.db, args.id, query),
  }),
);

const CreateMessageInput = builder.inputType('CreateMessageInput', {
  description: 'A message to add to a conversation without starting a turn.',
  fields: (t) => ({
    conversationId: t.id({
      required: true,
      description: 'The id of the conversation, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
    }),
    role: t.field({ type: MessageRole, required: true, description: 'The author of the message.' }),
    content: t.string({ required: true, description: 'The text, 1 to 100,000 characters.' }),
    attachments: t.field({ type: [AttachmentInput], description: 'The files that belong to the message, at most 20.' }),
    runId: t.id({ description: 'The run to which the message belongs; a run of the same conversation.' }),
    routingDecision: t.field({
      type: 'JSON',
      description:
        'How the agent was chosen: a JSON object with the fields of RoutingDecision, and agent ids in place of agents. Example: `{"selectedAgents": ["agt_…"], "confidence": 1, "reasoning": "Chosen by the user."}`.',
    }),
    toolCalls: t.field({
      type: 'JSON',
      description:
        'The finished tool calls of an ASSISTANT message, at most 100: a JSON list of objects with `id`, `name`, `arguments` (JSON text), `result`, `status` (SUCCEEDED, FAILED, DENIED or CANCELLED) and `error`. Example: `[{"id": "call_1", "name": "lookup_order", "arguments": "{}", "status": "SUCCEEDED", "result": null}]`.',
    }),
  }),
});

builder.mutationField('createMessage', (t) =>
  t.prismaField({
    type: MessageRef,
    description: 'Adds a message to a conversation without starting a turn. Use it to import a history.',
    args: { input: t.arg({ type: CreateMessageInput, required: true, description: 'The message.' }) },
    resolve: (query, _root, args, context) =>
      createMessage(context.viewer, context.db, context.feed, args.input, query),
  }),
);
