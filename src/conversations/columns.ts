import { type Conversation, type Message, Prisma } from '../generated/prisma/client.ts';
import { previewLength } from './last-message.ts';

/** Every column by its name in Prisma's rows: a column that is added there and not here does not compile. */
type Columns<Row> = Readonly<Record<keyof Row, string>>;

const ofConversations: Columns<Conversation> = {
  id: 'id',
  tenantId: 'tenant_id',
  userId: 'user_id',
  projectId: 'project_id',
  title: 'title',
  autoTitle: 'auto_title',
  titleOrigin: 'title_origin',
  scenarioId: 'scenario_id',
  activeAgentId: 'active_agent_id',
  followsDefault: 'follows_default',
  contactId: 'contact_id',
  branchChanges: 'branch_changes',
  messageCount: 'message_count',
  runCount: 'run_count',
  isArchived: 'is_archived',
  isPinned: 'is_pinned',
  createdAt: 'created_at',
  creationKey: 'creation_key',
  creationHash: 'creation_hash',
  updatedAt: 'updated_at',
};

const ofMessages: Columns<Message> = {
  id: 'id',
  tenantId: 'tenant_id',
  conversationId: 'conversation_id',
  position: 'position',
  parentId: 'parent_id',
  number: 'number',
  isActive: 'is_active',
  role: 'role',
  status: 'status',
  content: 'content',
  agentId: 'agent_id',
  runId: 'run_id',
  step: 'step',
  attachments: 'attachments',
  routingDecision: 'routing_decision',
  source: 'source',
  finishReason: 'finish_reason',
  createdAt: 'created_at',
  bytes: 'bytes',
  creationKey: 'creation_key',
  creationHash: 'creation_hash',
  transfers: 'transfers',
  isIndexed: 'is_indexed',
};

/** What the row of a conversation shows by itself. */
const shownOfConversations = [
  'id',
  'userId',
  'title',
  'messageCount',
  'isArchived',
  'isPinned',
  'createdAt',
  'updatedAt',
] as const;
/** A conversation with the columns that it shows by itself. */
export type ShownConversation = Pick<Conversation, (typeof shownOfConversations)[number]>;

/** What the row of a message shows by itself; of these, only the content may have any size. */
const shownOfMessages = ['id', 'position', 'role', 'status', 'content', 'source', 'finishReason', 'createdAt'] as const;
/** A message with the columns that it shows by itself, and its size. */
export type ShownMessage = Pick<Message, (typeof shownOfMessages)[number] | 'bytes'>;

function list(columns: Readonly<Record<string, string>>, of: (column: string) => string): Prisma.Sql {
  return Prisma.raw(
    Object.entries(columns)
      .map(([name, column]) => `${of(column)} AS "${name}"`)
      .join(', '),
  );
}

function pick<Name extends string>(columns: Readonly<Record<Name, string>>, names: readonly Name[]) {
  return Object.fromEntries(names.map((name) => [name, columns[name]]));
}

/** All columns of `conversations AS c`, as in Prisma's rows. */
export const conversationColumns = list(ofConversations, (column) => `c.${column}`);

/** The columns of `conversations AS c` that it shows by itself. */
export const shownConversationColumns = list(pick(ofConversations, shownOfConversations), (column) => `c.${column}`);

/** As {@link shownConversationColumns}, each with the prefix `of_`, with the first message `m` of a page or without one. */
export const shownOncePerPage = list(
  Object.fromEntries(shownOfConversations.map((name) => [`of_${name}`, ofConversations[name]])),
  (column) => `CASE WHEN m.place IS NULL OR m.place = 1 THEN c.${column} END`,
);

/** The columns of `messages AS m` that it shows by itself, and its size. The content is null unless `m.fits`. */
export const shownMessageColumns = list(pick(ofMessages, [...shownOfMessages, 'bytes']), (column) =>
  column === ofMessages.content ? `CASE WHEN m.fits THEN m.${column} END` : `m.${column}`,
);

/** The columns of the last message of a conversation that it shows by itself, each with the prefix `last_`. */
export type ShownLastMessage = { readonly [Name in keyof ShownMessage as `last_${Name}`]: ShownMessage[Name] };

/** Reads them from `messages AS last`: of the content, the beginning. */
export const shownLastMessageColumns = list(
  Object.fromEntries([...shownOfMessages, 'bytes' as const].map((name) => [`last_${name}`, ofMessages[name]])),
  (column) => (column === ofMessages.content ? `left(last.${column}, ${previewLength})` : `last.${column}`),
);

/** The columns of a message that may have any size; their sum is in `bytes`. */
const sized: ReadonlySet<string> = new Set([
  ofMessages.content,
  ofMessages.attachments,
  ofMessages.routingDecision,
  ofMessages.transfers,
]);

/** All columns of `messages AS m`, as in Prisma's rows. Those of any size are null unless `m.fits`. */
export const fittingMessageColumns = list(ofMessages, (column) =>
  sized.has(column) ? `CASE WHEN m.fits THEN m.${column} END` : `m.${column}`,
);
