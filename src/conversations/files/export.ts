import { UnavailableError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { storeExport } from '../../exports/files.ts';
import type { ExportRuntime } from '../../exports/runtime.ts';
import { type Export, Prisma } from '../../generated/prisma/client.ts';
import { readConversation } from '../read.ts';
import { fileFormat, fileVersion } from './format.ts';
import { type ExportedConversation, writeMarkdown } from './markdown.ts';

/** Rows that are in memory at the same time. */
const batch = 20;

/** The formats of an export. */
export type ExportFormat = 'JSON' | 'MARKDOWN';

/**
 * Makes a file of one conversation of the viewer: as JSON, which `importConversations` takes again,
 * or as Markdown, for people.
 * The rows are read a few at a time, and written as they are read.
 * @param args.id the public id
 * @param clientGone aborts when the client disconnects: the file is given up
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError}
 * @throws {RateLimitedError} if the viewer is making an export already, or has too many; {@link ConflictError} if it is too
 *   large
 */
export async function exportConversation(
  viewer: Viewer,
  exports: ExportRuntime,
  args: { readonly id: string; readonly format?: ExportFormat | null | undefined },
  clientGone: AbortSignal | null,
): Promise<Export> {
  using _slot = exports.making.enter(viewer);
  const { db } = exports;
  const { id } = await readConversation(viewer, db, args.id);
  const last = await db.message.aggregate({
    where: { tenantId: viewer.tenantId, conversationId: id },
    _max: { number: true },
  });
  const conversation = { id, maxNumber: last._max.number ?? 0, clientGone };
  const isJson = args.format !== 'MARKDOWN';
  const parts = isJson ? writeJson(viewer, db, conversation) : writeMarkdown(viewer, db, conversation);
  const mediaType = isJson ? 'application/json' : 'text/markdown';
  return storeExport(viewer, db, exports.ttlMs, { mediaType, contactId: null, parts });
}

async function* writeJson(viewer: Viewer, db: Db, conversation: ExportedConversation): AsyncGenerator<string> {
  yield `{"format":"${fileFormat}","version":${fileVersion},"exportedAt":${JSON.stringify(new Date())},"conversations":[\n`;
  const [head] = await db.$queryRaw<{ readonly row: string }[]>`
    SELECT json_build_object('id', 'conv_' || c.id, 'title', c.title, 'autoTitle', c.auto_title,
      'isPinned', c.is_pinned, 'isArchived', c.is_archived,
      'projectId', 'prj_' || c.project_id, 'scenarioKey', s.key,
      'agentId', CASE WHEN c.follows_default THEN NULL ELSE 'agt_' || c.active_agent_id END,
      'activeLeafId', (SELECT 'msg_' || m.id FROM messages AS m WHERE m.tenant_id = c.tenant_id
        AND m.conversation_id = c.id AND m.position IS NOT NULL AND m.number <= ${conversation.maxNumber}
        ORDER BY m.position DESC LIMIT 1),
      'createdAt', c.created_at, 'updatedAt', c.updated_at)::text AS row
    FROM conversations AS c LEFT JOIN scenarios AS s ON s.tenant_id = c.tenant_id AND s.id = c.scenario_id
    WHERE c.tenant_id = ${viewer.tenantId} AND c.user_id = ${viewer.userId} AND c.id = ${conversation.id}::uuid`;
  if (head === undefined) throw new UnavailableError('The conversation was deleted before the export was made.');
  yield head.row.slice(0, -1);
  for (const section of sections) yield* writeSection(viewer, db, conversation, section);
  yield '}\n]}\n';
}

/** Rows of one kind in the file, in the order of their key. */
interface Section {
  readonly name: string;
  /** The object of a row, as SQL. */
  readonly object: Prisma.Sql;
  /** The table with its joins; `m` is the message by whose number the rows are chosen. */
  readonly from: Prisma.Sql;
  /** Of the rows: a message that is older than the export. */
  readonly key: Prisma.Sql;
}

const sections: readonly Section[] = [
  {
    name: 'messages',
    key: Prisma.sql`lpad(m.number::text, 10, '0')`,
    from: Prisma.sql`messages AS m
      LEFT JOIN message_details AS d ON d.tenant_id = m.tenant_id AND d.message_id = m.id
      LEFT JOIN feedback AS f ON f.tenant_id = m.tenant_id AND f.message_id = m.id`,
    object: Prisma.sql`json_build_object('id', 'msg_' || m.id, 'parentId', 'msg_' || m.parent_id, 'role', m.role,
      'status', m.status, 'content', m.content, 'agentId', 'agt_' || m.agent_id, 'runId', 'run_' || m.run_id,
      'step', m.step, 'attachments', m.attachments, 'routingDecision', m.routing_decision, 'source', m.source,
      'finishReason', m.finish_reason, 'transfers', m.transfers, 'createdAt', m.created_at,
      'hasData', d.data IS NOT NULL, 'data', d.data, 'reasoning', d.reasoning,
      'citations', coalesce((SELECT json_agg(json_build_object('index', c.index, 'documentId', 'doc_' || c.document_id,
        'title', c.title, 'url', c.url, 'quote', c.quote, 'position', c.position) ORDER BY c.index)
        FROM citations AS c WHERE c.tenant_id = m.tenant_id AND c.message_id = m.id), '[]'::json),
      'feedback', CASE WHEN f.id IS NULL THEN NULL ELSE json_build_object('rating', f.rating, 'comment', f.comment,
        'scenarioVersion', f.scenario_version, 'createdAt', f.created_at) END)`,
  },
  {
    name: 'runs',
    key: Prisma.sql`lpad(r.number::text, 10, '0')`,
    from: Prisma.sql`messages AS m JOIN runs AS r ON r.conversation_id = m.conversation_id AND r.user_message_id = m.id`,
    object: Prisma.sql`json_build_object('id', 'run_' || r.id, 'status', r.status, 'userMessageId', 'msg_' || m.id,
      'isCurrent', r.is_current, 'agentId', 'agt_' || r.agent_id, 'routingDecision', r.routing_decision,
      'errorCode', r.error_code, 'errorMessage', r.error_message, 'errorRetryable', r.error_retryable,
      'createdAt', r.created_at, 'startedAt', r.started_at, 'finishedAt', r.finished_at)`,
  },
  ...(['run', 'message'] as const).map(
    (owner): Section => ({
      name: owner === 'run' ? 'toolCalls' : 'toolCallsWithoutRun',
      key: Prisma.sql`t.row_id::text`,
      from:
        owner === 'run'
          ? Prisma.sql`messages AS m JOIN runs AS r ON r.conversation_id = m.conversation_id AND r.user_message_id = m.id
            JOIN tool_calls AS t ON t.tenant_id = m.tenant_id AND t.run_id = r.id`
          : Prisma.sql`messages AS m JOIN tool_calls AS t ON t.tenant_id = m.tenant_id AND t.message_id = m.id AND t.run_id IS NULL`,
      object: Prisma.sql`json_build_object('runId', 'run_' || t.run_id, 'messageId', 'msg_' || t.message_id,
        'callId', t.call_id, 'step', t.step, 'index', t.index, 'name', t.name, 'arguments', t.arguments,
        'editedArguments', t.edited_arguments, 'decidedBy', t.decided_by, 'result', t.result, 'status', t.status,
        'error', t.error, 'agentId', 'agt_' || t.agent_id, 'transfers', t.transfers,
        'startedAt', t.started_at, 'finishedAt', t.finished_at)`,
    }),
  ),
  {
    name: 'handoffs',
    key: Prisma.sql`h.id::text`,
    from: Prisma.sql`messages AS m JOIN runs AS r ON r.conversation_id = m.conversation_id AND r.user_message_id = m.id
      JOIN handoffs AS h ON h.tenant_id = m.tenant_id AND h.run_id = r.id`,
    object: Prisma.sql`json_build_object('runId', 'run_' || h.run_id, 'callId', h.call_id, 'step', h.step, 'seq', h.seq,
      'fromAgentId', 'agt_' || h.from_agent_id, 'toAgentId', 'agt_' || h.to_agent_id, 'reason', h.reason, 'at', h.at)`,
  },
];

/** The rows of a section, read on after the key of the last one: what is written meanwhile moves no others. */
async function* writeSection(
  viewer: Viewer,
  db: Db,
  { id, maxNumber, clientGone }: ExportedConversation,
  { name, object, from, key }: Section,
): AsyncGenerator<string> {
  yield `,\n"${name}":[`;
  for (let after: string | null = null; ; ) {
    if (clientGone?.aborted) throw new UnavailableError('The client disconnected before the export was made.');
    const further: Prisma.Sql = after === null ? Prisma.empty : Prisma.sql`AND ${key} > ${after}`;
    const rows: { readonly row: string; readonly key: string }[] = await db.$queryRaw`
      SELECT ${object}::text AS row, ${key} AS key FROM ${from}
      WHERE m.tenant_id = ${viewer.tenantId} AND m.conversation_id = ${id}::uuid
        AND m.number BETWEEN 1 AND ${maxNumber} ${further}
      ORDER BY key LIMIT ${batch}`;
    for (const { row, key: rowKey } of rows) {
      yield `${after === null ? '\n' : ',\n'}${row}`;
      after = rowKey;
    }
    if (rows.length < batch) break;
  }
  yield ']';
}

/** The name of a conversation in messages. */
export function nameConversation(title: string): string {
  return JSON.stringify(title.length > 80 ? `${title.slice(0, 79).toWellFormed()}…` : title);
}
