import { type Conversation, type Message, Prisma } from '../generated/prisma/client.ts';

/** Every column by its name in Prisma's rows: a column that is added there and not here does not compile. */
type Columns<Row> = Readonly<Record<keyof Row, string>>;

const ofConversations: Columns<Conversation> = {
  id: 'id',
  tenantId: 'tenant_id',
  userId: 'user_id',
  projectId: 'project_id',
  title: 'title',
  autoTitle: 'auto_title',
  scenarioId: 'scenario_id',
  activeAgentId: 'active_agent_id',
  followsDefault: 'follows_default',
  messageCount: 'message_count',
  runCount: 'run_count',
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
};

function list(columns: Readonly<Record<string, string>>, of: (column: string) => string): Prisma.Sql {
  return Prisma.raw(
    Object.entries(columns)
      .map(([name, column]) => `${of(column)} AS "${name}"`)
      .join(', '),
  );
}

/** All columns of `conversations AS c`, as in Prisma's rows. */
export const conversationColumns = list(ofConversations, (column) => `c.${column}`);

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
