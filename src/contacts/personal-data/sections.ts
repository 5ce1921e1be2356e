import type { Viewer } from '../../auth/viewer.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { isReadableComment } from '../../tickets/comments.ts';

/** Rows of an export that hang on a conversation or on a ticket. */
export interface Section {
  /** The name in the file. */
  readonly name: string;
  readonly table: string;
  /** The columns that order the rows, with their types: no two rows have the same values. */
  readonly key: readonly (readonly [column: string, type: 'uuid' | 'int'])[];
  /** The condition for the rows `t` of one owner. */
  readonly of: (owner: Prisma.Sql) => Prisma.Sql;
  /** The condition for rows `t` that the viewer may read; absent: all of them. */
  readonly allowed?: (viewer: Viewer) => Prisma.Sql;
}

/** What only the server needs of rows. */
export const internalColumns = Prisma.raw(
  `ARRAY['tenant_id', 'creation_key', 'creation_hash', 'payload_hash', 'idempotency_key', 'call_key', 'email_key',
    'lease_owner', 'lease_expires_at', 'lease_epoch', 'leased_at', 'reserved_seq', 'last_seq', 'provider_state', 'bytes', 'tsv',
    'is_indexed']`,
);

const byId = [['id', 'uuid']] as const;
const ofConversation: Section['of'] = (owner) => Prisma.sql`t.conversation_id = ${owner}`;
const ofRuns: Section['of'] = (owner) => Prisma.sql`t.run_id IN (SELECT id FROM runs WHERE conversation_id = ${owner})`;
const ofMessages: Section['of'] = (owner) =>
  Prisma.sql`t.message_id IN (SELECT id FROM messages WHERE conversation_id = ${owner})`;
/** Two statements in one, each with its index: a condition with OR would read the whole table. */
const ofRunsOrMessages =
  (table: string, key: string): Section['of'] =>
  (owner) =>
    Prisma.sql`t.${Prisma.raw(key)} IN (
      SELECT t.${Prisma.raw(key)} FROM ${Prisma.raw(table)} AS t WHERE ${ofRuns(owner)}
      UNION SELECT t.${Prisma.raw(key)} FROM ${Prisma.raw(table)} AS t WHERE ${ofMessages(owner)})`;
const ofSessions: Section['of'] = (owner) =>
  Prisma.sql`t.session_id IN (SELECT id FROM realtime_sessions WHERE conversation_id = ${owner})`;
const ofDrafts: Section['of'] = (owner) =>
  Prisma.sql`t.draft_id IN (SELECT id FROM drafts WHERE conversation_id = ${owner})`;
const ofTicket: Section['of'] = (owner) => Prisma.sql`t.ticket_id = ${owner}`;

/** What hangs on a conversation. The archives of runs hold the same texts once more. */
export const conversationSections: readonly Section[] = [
  { name: 'messages', table: 'messages', key: byId, of: ofConversation },
  {
    name: 'citations',
    table: 'citations',
    key: [
      ['message_id', 'uuid'],
      ['index', 'int'],
    ],
    of: ofMessages,
  },
  {
    name: 'messageDetails',
    table: 'message_details',
    key: [['message_id', 'uuid']],
    of: ofMessages,
  },
  { name: 'runs', table: 'runs', key: byId, of: ofConversation },
  {
    name: 'toolCalls',
    table: 'tool_calls',
    key: [['row_id', 'uuid']],
    of: ofRunsOrMessages('tool_calls', 'row_id'),
  },
  { name: 'handoffs', table: 'handoffs', key: byId, of: ofRuns },
  { name: 'guardrailResults', table: 'guardrail_results', key: byId, of: ofRunsOrMessages('guardrail_results', 'id') },
  { name: 'realtimeSessions', table: 'realtime_sessions', key: byId, of: ofConversation },
  { name: 'realtimeGuardrailResults', table: 'realtime_guardrail_results', key: byId, of: ofSessions },
  { name: 'drafts', table: 'drafts', key: byId, of: ofConversation },
  {
    name: 'draftVersions',
    table: 'draft_versions',
    key: [
      ['draft_id', 'uuid'],
      ['version', 'int'],
    ],
    of: ofDrafts,
  },
  { name: 'modelCalls', table: 'model_calls', key: byId, of: ofConversation },
];

/** What hangs on a ticket. */
export const ticketSections: readonly Section[] = [
  {
    name: 'comments',
    table: 'ticket_comments',
    key: byId,
    of: ofTicket,
    allowed: (viewer) => Prisma.sql`t.id IN (SELECT c.id FROM ticket_comments AS c
      WHERE c.tenant_id = t.tenant_id AND c.id = t.id AND ${isReadableComment(viewer)})`,
  },
  { name: 'history', table: 'ticket_changes', key: byId, of: ofTicket },
];
