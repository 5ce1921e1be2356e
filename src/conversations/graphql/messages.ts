import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, settleNode } from '../../graphql/selection.ts';
import { type Attachment as AttachmentShape, storedAttachments } from '../attachment.ts';
import { createMessage, readMessage } from '../messages.ts';
import { makePreview } from '../text.ts';

const MessageRole = builder.enumType('MessageRole', {
  description: 'Who says something.',
  values: {
    USER: { description: 'The person.' },
    ASSISTANT: { description: 'An agent.' },
    SYSTEM: { description: 'The application: a note to the agents.' },
  } as const,
});

const MessageStatus = builder.enumType('MessageStatus', {
  description: 'How far a message has come.',
  values: {
    COMPLETE: { description: 'It is whole.' },
    STREAMING: { description: 'It is being written.' },
    PARTIAL: { description: 'Its run failed or was cancelled; the text so far is kept.' },
    REDACTED: { description: 'A guardrail took its text away.' },
  } as const,
});

const MessageSource = builder.enumType('MessageSource', {
  description: 'How a message came to be here.',
  values: {
    CHAT: { description: 'It was said in a turn, or by a user.' },
    REALTIME: { description: 'It is from the transcript of a realtime session.' },
    IMPORT: { description: 'It was written by createMessage on behalf of an agent or the application.' },
  } as const,
});

const Attachment = builder.objectRef<AttachmentShape>('Attachment').implement({
  description: 'A file that belongs to a message. It is stored elsewhere; this is where.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, for people.' }),
    type: t.exposeString('type', { description: 'Its media type, like image/png.' }),
    url: t.exposeString('url', { description: 'Where it is: an http or https URL.' }),
    size: t.exposeInt('size', { description: 'How many bytes it has.' }),
    knowledgeBaseId: t.exposeID('knowledgeBaseId', {
      nullable: true,
      description: 'The knowledge base that it was put into, if it was.',
    }),
  }),
});

/** Attachments as clients give them; turns take them too. */
export const AttachmentInput = builder.inputType('AttachmentInput', {
  description: 'A file that belongs to a message, stored elsewhere.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name, for people: 1 to 255 characters.' }),
    type: t.string({ required: true, description: 'Its media type, like image/png: 1 to 255 characters.' }),
    url: t.string({ required: true, description: 'Where it is: an http or https URL of at most 2,048 characters.' }),
    size: t.int({ required: true, description: 'How many bytes it has.' }),
    knowledgeBaseId: t.id({ description: 'The knowledge base that it was put into, if it was.' }),
  }),
});

/** Messages in the graph. */
export const MessageRef = builder.prismaObject('Message', {
  fields: (t) => ({
    conversation: t.relation('conversation', { description: 'Where it was said.' }),
    role: t.field({ type: MessageRole, description: 'Who said it.', resolve: (message) => message.role }),
    status: t.field({
      type: MessageStatus,
      description: 'How far it has come. PARTIAL: its run failed or was cancelled; the text so far is kept.',
      resolve: (message) => message.status,
    }),
    content: t.exposeString('content', {}),
    preview: t.string({
      description: 'Its beginning on one line, the ellipsis included.',
      args: {
        length: t.arg.int({ defaultValue: 100, description: 'The most characters, 1 to 1,000.' }),
      },
      resolve: (message, { length }) => {
        const most = length ?? 100;
        if (most < 1 || most > 1_000) throw badInput(['length'], 'must be an integer from 1 to 1,000');
        return makePreview(message.content, most);
      },
    }),
    agent: t.relation('agent', { nullable: true, description: 'Which agent said it. Null: none did.' }),
    attachments: t.field({
      type: [Attachment],
      description: 'The files that belong to it.',
      resolve: (message) => storedAttachments.parse(message.attachments),
    }),
    source: t.field({
      type: MessageSource,
      description: 'How it came to be here.',
      resolve: (message) => message.source,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was said.' }),
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
    description: 'A message of one of the viewer’s conversations.',
    args: { id: t.arg.id({ required: true, description: 'The message’s id, msg_….' }) },
    resolve: (query, _root, args, context) => readMessage(context.viewer, context.db, args.id, query),
  }),
);

const CreateMessageInput = builder.inputType('CreateMessageInput', {
  description: 'A message to add without starting a turn.',
  fields: (t) => ({
    conversationId: t.id({ required: true, description: 'Where to add it.' }),
    role: t.field({ type: MessageRole, required: true, description: 'Who says it.' }),
    content: t.string({ required: true, description: 'The text: 1 to 100,000 characters.' }),
    attachments: t.field({ type: [AttachmentInput], description: 'Its files, at most 20.' }),
    runId: t.id({ description: 'The run of this conversation that it belongs to.' }),
    routingDecision: t.field({
      type: 'JSON',
      description:
        'How an agent was chosen: {rootAgent, selectedAgents, selectedTools, confidence, reasoning, alternatives}, as in RoutingDecision, with ids for agents.',
    }),
    toolCalls: t.field({
      type: 'JSON',
      description:
        'The finished tool calls of an ASSISTANT message, at most 100: [{id, name, arguments, result, status, error}], arguments as JSON text, status SUCCEEDED, FAILED, DENIED or CANCELLED.',
    }),
  }),
});

builder.mutationField('createMessage', (t) =>
  t.prismaField({
    type: MessageRef,
    description: 'Adds a message to a conversation without starting a turn.',
    args: { input: t.arg({ type: CreateMessageInput, required: true, description: 'What to add.' }) },
    resolve: (query, _root, args, context) =>
      createMessage(context.viewer, context.db, context.feed, args.input, query),
  }),
);
