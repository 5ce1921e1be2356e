import { NotFoundError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import type { InputPath } from '../../api/input.ts';
import {
  buildConnection,
  type Connection,
  type PageArgs,
  type PageRules,
  pageSizes,
  parsePage,
} from '../../api/paging.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { readMessagesById } from '../../conversations/load-messages.ts';
import type { Db } from '../../database/client.ts';
import { makeDeletedRun } from '../../database/deleted-rows.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../../database/keyset.ts';
import { type Message, Prisma, type Run, type ToolCall } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import { fitPage } from '../../limits/fit-page.ts';
import { type RunQuery, readRun } from './read.ts';

/** What the graph reads of a tool call: a part of its row. An event holds the same, as it was then. */
export const toolCallColumns = {
  rowId: true,
  callId: true,
  runId: true,
  messageId: true,
  name: true,
  arguments: true,
  editedArguments: true,
  decidedBy: true,
  result: true,
  status: true,
  error: true,
  agentId: true,
  startedAt: true,
  finishedAt: true,
  approvalExpiresAt: true,
} as const satisfies Prisma.ToolCallSelect;

/** A tool call as the graph reads it. */
export type ToolCallShape = Pick<ToolCall, keyof typeof toolCallColumns>;

/** What a document selects of tool calls. */
export interface ToolCallQuery {
  readonly select?: Prisma.ToolCallSelect;
}

/** The rows whose run, or whose imported message, is the viewer's. */
function ownedBy({ tenantId, userId }: Viewer) {
  return { tenantId, OR: [{ run: { userId } }, { message: { conversation: { userId } } }] };
}

/**
 * A tool call of the viewer's runs or conversations.
 * @param rawId the public id
 * @param path where the id stood in the arguments
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError}
 */
export async function findToolCall(
  viewer: Viewer,
  db: Db,
  rawId: string,
  path: InputPath,
  query: ToolCallQuery = {},
): Promise<ToolCallShape> {
  const rowId = parseId('ToolCall', rawId, path);
  const select = { ...query.select, ...toolCallColumns };
  const call = await db.toolCall.findFirst({ where: { rowId, ...ownedBy(viewer) }, select });
  if (call) return call;
  const other = await db.toolCall.findUnique({ where: { rowId }, select: { tenantId: true } });
  // It is not the viewer's, so it is another user's.
  throw notFoundOrForbidden(viewer, `tool call ${rawId}`, other && { ...other, userId: '' });
}

const byDeadline = timeColumn(Prisma.sql`approval_expires_at`);
const rules: PageRules<RowKey> = { list: 'pendingApprovals', key: byDeadline.key, ...pageSizes };

/**
 * A page of the calls that wait for the viewer's decision, the oldest first. Two statements, and one more for totalCount.
 * @throws {BadUserInputError} if a page argument is invalid
 * @throws {QueryTooComplexError} if not even one call fits into the answer
 */
export async function listPendingApprovals(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: PageArgs,
  query: ToolCallQuery = {},
): Promise<Connection<ToolCallShape>> {
  const { tenantId, userId } = viewer;
  const page = parsePage(args, rules);
  const pending = Prisma.sql`(
    SELECT c.row_id AS id, c.approval_expires_at, c.bytes FROM runs r JOIN tool_calls c ON c.run_id = r.id
    WHERE r.tenant_id = ${tenantId} AND r.user_id = ${userId} AND r.status = 'REQUIRES_ACTION'
      AND c.status = 'AWAITING_APPROVAL' AND c.approval_expires_at > now()
  ) AS pending`;
  const list = {
    table: pending,
    where: Prisma.sql`true`,
    sort: byDeadline,
    descending: false,
    bytes: Prisma.sql`bytes`,
  };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const select = { ...query.select, ...toolCallColumns };
  const where = { tenantId, run: { userId }, rowId: { in: ids } };
  const calls = ids.length === 0 ? [] : await db.toolCall.findMany({ where, select });
  const { rows, ...ends } = arrangeByKey(
    found,
    calls.map((call) => ({ id: call.rowId, call })),
  );
  const edges = rows.map(({ key, node }) => ({ key, node: node.call }));
  return buildConnection(page, { ...ends, rows: edges }, async () => {
    const [counted] = await db.$queryRaw<{ size: number }[]>`SELECT count(*)::int AS size FROM ${pending}`;
    return counted?.size ?? 0;
  });
}

/**
 * The run that made a call. Calls that createMessage imported have none, and get one that has ended and holds nothing; as
 * do the calls of events whose run was deleted.
 */
export async function readCallingRun(viewer: Viewer, db: Db, call: ToolCallShape, query: RunQuery): Promise<Run> {
  const at = call.finishedAt ?? call.startedAt ?? new Date(0);
  if (call.runId === null)
    return { ...makeDeletedRun(viewer, call.messageId ?? call.rowId, at), status: 'COMPLETED' as const };
  return readRun(viewer, db, call.runId, query).catch((error: unknown) => {
    if (error instanceof NotFoundError && call.runId !== null) return makeDeletedRun(viewer, call.runId, at);
    throw error;
  });
}

/** The messages of calls, in the order of the calls. */
export async function readCallMessages(
  viewer: Viewer,
  reads: SizedReads,
  calls: readonly ToolCallShape[],
  query: { readonly include?: Prisma.MessageInclude },
): Promise<(Message | Error | null)[]> {
  const ids = [...new Set(calls.flatMap(({ messageId }) => messageId ?? []))];
  const messages = ids.length === 0 ? [] : await readMessagesById(viewer, reads, ids, query);
  const byId = new Map(ids.map((id, index) => [id, messages[index] ?? null]));
  return calls.map(({ messageId }) => (messageId === null ? null : (byId.get(messageId) ?? null)));
}
