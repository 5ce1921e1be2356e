import { z } from 'zod';
import { formatId, parseId } from '../../api/ids.ts';
import { type PlaceArgs, selectRange } from '../../api/numbered-paging.ts';
import { type CountedConnection, plainConnection } from '../../graphql/plain-connection.ts';
import { addPlainRoot, FailedFieldError, type PlainExecution } from '../../graphql/plain-query.ts';
import {
  compileObject,
  nameOf,
  object,
  type PlainType,
  type SelectedField,
  text,
  value,
} from '../../graphql/projection.ts';
import type { ShownConversation, ShownLastMessage, ShownMessage } from '../columns.ts';
import { usualPreviewLength } from '../last-message.ts';
import { type ListedConversation, listShown } from '../list-shown.ts';
import { messageList } from '../message-page.ts';
import { previewMessage } from '../preview.ts';
import { readConversation } from '../read.ts';
import { readWithMessages } from '../read-with-messages.ts';

// The two reads that every front end begins with: a list of conversations, and one of them with its messages. As long as a
// document selects no more of them than is here, they are read in one statement and answered without resolvers. The values
// are those of the resolvers in types.ts and message-types.ts.

const pageArgs = z.object({
  first: z.int().nullish(),
  after: z.string().nullish(),
  last: z.int().nullish(),
  before: z.string().nullish(),
});
const direction = z.enum(['ASC', 'DESC']);
const messagesArgs = pageArgs.extend({ order: direction.nullish(), allBranches: z.boolean().nullish() });
const orderBy = z.object({ field: z.enum(['CREATED_AT', 'UPDATED_AT', 'TITLE']), direction });
const conversationsArgs = pageArgs.extend({
  orderBy: orderBy.nullish(),
  search: z.string().nullish(),
  projectId: z.string().nullish(),
  isArchived: z.boolean().nullish(),
  isPinned: z.boolean().nullish(),
});
const conversationArgs = z.object({ id: z.string() });

function fieldsOfConversation<Row>(of: (row: Row) => ShownConversation): PlainType<Row>['fields'] {
  return {
    id: value((row) => formatId('Conversation', of(row).id)),
    userId: text((row) => of(row).userId),
    title: text((row) => of(row).title),
    messageCount: value((row) => of(row).messageCount),
    isArchived: value((row) => of(row).isArchived),
    isPinned: value((row) => of(row).isPinned),
    createdAt: value((row) => of(row).createdAt.toISOString()),
    updatedAt: value((row) => of(row).updatedAt.toISOString()),
  };
}

interface ListedMessage {
  readonly message: ShownLastMessage;
  readonly preview: string;
}

/** The last message of a conversation in a list, of which the whole content was not read. */
const listedMessage: PlainType<ListedMessage> = {
  name: 'Message',
  fields: {
    id: value(({ message }) => formatId('Message', message.last_id)),
    role: value(({ message }) => message.last_role),
    status: value(({ message }) => message.last_status),
    finishReason: value(({ message }) => message.last_finishReason),
    preview: text(({ preview }) => preview),
    source: value(({ message }) => message.last_source),
    position: value(({ message }) => message.last_position),
    createdAt: value(({ message }) => message.last_createdAt.toISOString()),
  },
};

const listedConversation: PlainType<ListedConversation> = {
  name: 'Conversation',
  fields: {
    ...fieldsOfConversation(({ row }) => row),
    lastMessage: object(listedMessage, ({ last, preview }) => last && { message: last, preview }),
  },
};

const message: PlainType<ShownMessage> = {
  name: 'Message',
  fields: {
    id: value(({ id }) => formatId('Message', id)),
    role: value(({ role }) => role),
    status: value(({ status }) => status),
    finishReason: value(({ finishReason }) => finishReason),
    content: text(({ content }) => content),
    preview: text((row) => previewMessage(row, false, usualPreviewLength)),
    source: value(({ source }) => source),
    position: value(({ position }) => position),
    createdAt: value(({ createdAt }) => createdAt.toISOString()),
  },
};

const conversationConnection = plainConnection('Conversation', listedConversation);
const messageConnection = plainConnection('Message', message);

/** The fields of that name on objects that these fields return. */
function selectNamed(fields: readonly SelectedField[], typeName: string, name: string): readonly SelectedField[] {
  return fields.flatMap((field) => field.select(typeName)).filter((field) => nameOf(field) === name);
}

addPlainRoot('conversations', (field) => {
  const project = compileObject(conversationConnection, field);
  if (project === null) return null;
  const edges = selectNamed([field], 'ConversationConnection', 'edges');
  const lastMessages = selectNamed(selectNamed(edges, 'ConversationEdge', 'node'), 'Conversation', 'lastMessage');
  const parts = {
    total: selectNamed([field], 'ConversationConnection', 'totalCount').length > 0,
    lastMessage: lastMessages.length > 0,
    preview: selectNamed(lastMessages, 'Message', 'preview').length > 0,
  };
  return async ({ context, argumentsOf }) => {
    const args = conversationsArgs.parse(argumentsOf('Query', field));
    const page = await listShown(context.viewer, context, args, parts);
    if (page === null) return null;
    const { edges: items, pageInfo } = page;
    const totalCount = parts.total ? await page.totalCount() : null;
    return (count) => project({ edges: items, pageInfo, totalCount }, count);
  };
});

interface ConversationAnswer {
  readonly row: ShownConversation;
  /** Null: none are selected. */
  readonly messages: CountedConnection<ShownMessage> | null;
}

const conversation: PlainType<ConversationAnswer> = {
  name: 'Conversation',
  fields: {
    ...fieldsOfConversation(({ row }) => row),
    messages: (field) => {
      const project = compileObject(messageConnection, field);
      return project && (({ messages }, count) => messages && project(messages, count));
    },
  },
};

addPlainRoot('conversation', (field) => {
  const project = compileObject(conversation, field);
  const [messages, ...others] = selectNamed([field], 'Conversation', 'messages');
  if (project === null || others.length > 0) return null;
  return async (execution) => {
    const { context, argumentsOf } = execution;
    const { id } = conversationArgs.parse(argumentsOf('Query', field));
    if (!messages) {
      const row = await readConversation(context.viewer, context.db, id);
      return (count) => project({ row, messages: null }, count);
    }
    const args = await checkMessagesArgs(execution, id, [field, messages]);
    if (args === null) return null;
    const { conversation: row, readPage } = await readWithMessages(context.viewer, context, id, args);
    const { edges, pageInfo, totalCount } = await readPage().catch((error: unknown) => {
      throw new FailedFieldError([field, messages], error);
    });
    const page = { edges, pageInfo, totalCount: await totalCount() };
    return (count) => project({ row, messages: page }, count);
  };
});

/**
 * The arguments of a page of messages. They are wrong only if the conversation exists: otherwise nobody reads them.
 * @returns null if the messages of all branches are to be listed: the executor does it
 */
async function checkMessagesArgs(
  { context, argumentsOf }: PlainExecution,
  id: string,
  path: readonly [conversation: SelectedField, messages: SelectedField],
): Promise<PlaceArgs | null> {
  try {
    const { allBranches, ...args } = messagesArgs.parse(argumentsOf('Conversation', path[1]));
    if (allBranches) return null;
    selectRange(messageList, args, parseId('Conversation', id, ['id']));
    return args;
  } catch (error) {
    await readConversation(context.viewer, context.db, id);
    throw new FailedFieldError(path, error);
  }
}
