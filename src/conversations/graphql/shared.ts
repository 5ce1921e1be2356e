import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { findShared, listSharedMessages, type Shared, type SharedMessage } from '../share/read-shared.ts';
import { Attachment, MessageRole } from './message-types.ts';

const SharedToolCall = builder.objectRef<SharedMessage['toolCalls'][number]>('SharedToolCall').implement({
  description: 'A tool call as a stranger may see it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the tool.' }),
    arguments: t.exposeString('arguments', {
      nullable: true,
      description: 'The arguments as the model wrote them. Null unless the owner shares them (`withTools`).',
    }),
    result: t.field({
      type: 'JSON',
      nullable: true,
      description: 'The result. Null unless the owner shares it (`withTools`), and if there is none.',
      resolve: ({ result }) => result,
    }),
  }),
});

const SharedMessageRef = builder.objectRef<SharedMessage>('SharedMessage').implement({
  description: 'A message as a stranger may see it: nothing leads from it to anything else.',
  fields: (t) => ({
    id: t.id({
      description: 'The message’s id, for caches: strangers cannot read anything by it.',
      resolve: ({ id }) => formatId('Message', id),
    }),
    role: t.field({ type: MessageRole, description: 'The author: USER or ASSISTANT.', resolve: ({ role }) => role }),
    content: t.exposeString('content', { description: 'The text, in Markdown.' }),
    agentName: t.exposeString('agentName', {
      nullable: true,
      description: 'The name of the agent that wrote it. Null for messages of the user.',
    }),
    attachments: t.field({
      type: [Attachment],
      description: 'The files that belong to it.',
      resolve: ({ attachments }) => attachments,
    }),
    toolCalls: t.field({
      type: [SharedToolCall],
      description: 'The tools that its agent has called.',
      resolve: ({ toolCalls }) => toolCalls,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
  }),
});

const SharedConversation = builder.objectRef<Shared>('SharedConversation').implement({
  description: 'A conversation that its owner shares, as whoever has the link may see it.',
  fields: (t) => ({
    title: t.exposeString('title', { description: 'Its title.' }),
    messages: t.connection(
      {
        type: SharedMessageRef,
        description:
          'Its messages up to the one that the owner has chosen, the oldest first. 50 per page by default, at most 100. What a guardrail has blocked and instructions of the application are not among them.',
        complexity: (args) => estimatePageCost(args, pageSizes),
        resolve: (shared, args, context) => listSharedMessages(shared, context, args),
      },
      { name: 'SharedMessageConnection', description: 'One page of the messages of a shared conversation.' },
      { name: 'SharedMessageEdge', description: 'A message of a shared conversation, with its position in the list.' },
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the conversation was created.' }),
  }),
});

builder.queryField('sharedConversation', (t) =>
  t.field({
    type: SharedConversation,
    nullable: true,
    skipTypeScopes: true,
    description:
      'A conversation that its owner shares. It is the one field that can be read without an access token: over HTTP, by POST, in a document of at most 4,096 bytes with its variables that has nothing else in it, no fragment and no directive. Null if there is no such link, or if it has expired or was revoked.',
    args: { token: t.arg.string({ required: true, description: 'The token of the link: its last part.' }) },
    resolve: (_root, { token }, context) => findShared(context.db, token),
  }),
);
