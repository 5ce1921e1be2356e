import { badInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { loadMeasured, readMessagesById, sumCalls } from '../../conversations/load-messages.ts';
import type { Message, Run } from '../../generated/prisma/client.ts';
import { type AnswerBudget, rowBytes, type SizedReads } from '../../limits/answer-budget.ts';
import { type ToolCallQuery, type ToolCallShape, toolCallColumns } from './tool-calls.ts';

/** Relations to load with messages: what a document selects. */
type MessageQuery = Parameters<typeof readMessagesById>[3];

/** A part of a list that is not paged by cursors. Unset: all of it. */
export interface Part {
  readonly first?: number | null | undefined;
  readonly offset?: number | null | undefined;
}

/** The most items that `first` may ask for. */
export const maxPart = 500;

/** More rows than fit into an answer of any size that can be configured. */
const manyRows = 100_000;

/** What a row of these lists is, before its contents are read. */
interface SizedRow {
  readonly id: string;
  readonly runId: string;
  readonly bytes: number;
}

/**
 * Checks which part of a list is asked for.
 * @throws {BadUserInputError} naming the argument and its limit
 */
export function parsePart({ first, offset }: Part): { readonly take: number | null; readonly skip: number } {
  if (first != null && (first < 0 || first > maxPart))
    throw badInput(['first'], `must be an integer from 0 to ${maxPart}`);
  if (offset != null && offset < 0) throw badInput(['offset'], 'must be an integer from 0');
  return { take: first ?? null, skip: offset ?? 0 };
}

/**
 * Reads the messages that runs wrote, in their order: one statement for their sizes, one for the contents.
 * @returns the messages of each run
 * @throws {QueryTooComplexError} if they do not fit into the answer; {@link RateLimitedError} if too much is under way
 */
export async function readRunMessages(
  viewer: Viewer,
  reads: SizedReads,
  runs: readonly Pick<Run, 'id'>[],
  part: Part,
  query: MessageQuery,
): Promise<Message[][]> {
  const { take, skip } = parsePart(part);
  const sizes = await reads.db.$queryRaw<SizedRow[]>`
    SELECT m.id, r.id AS "runId", m.bytes
    FROM unnest(${runs.map(({ id }) => id)}::uuid[]) AS asked (id)
    JOIN runs AS r ON r.id = asked.id AND r.tenant_id = ${viewer.tenantId} AND r.user_id = ${viewer.userId}
    CROSS JOIN LATERAL (
      SELECT m.id, (m.bytes + ${sumCalls(query)})::integer AS bytes
      FROM messages AS m WHERE m.run_id = r.id
      ORDER BY m.number LIMIT ${take ?? manyRows} OFFSET ${skip}
    ) AS m`;
  await takeAll(sizes, reads.answer);
  const ids = sizes.map(({ id }) => id);
  const messages = ids.length === 0 ? [] : await loadMeasured(viewer, reads.db, ids, query);
  messages.sort((one, other) => (one.number ?? 0) - (other.number ?? 0));
  return runs.map(({ id }) => messages.filter(({ runId }) => runId === id));
}

/** Reads the tool calls of runs, oldest first, as readRunMessages reads their messages. */
export async function readRunCalls(
  viewer: Viewer,
  { db, answer }: SizedReads,
  runs: readonly Pick<Run, 'id'>[],
  part: Part,
  query: ToolCallQuery,
): Promise<ToolCallShape[][]> {
  const { take, skip } = parsePart(part);
  const sizes = await db.$queryRaw<SizedRow[]>`
    SELECT t.id, r.id AS "runId", t.bytes
    FROM unnest(${runs.map(({ id }) => id)}::uuid[]) AS asked (id)
    JOIN runs AS r ON r.id = asked.id AND r.tenant_id = ${viewer.tenantId} AND r.user_id = ${viewer.userId}
    CROSS JOIN LATERAL (
      SELECT t.row_id AS id, t.bytes FROM tool_calls AS t WHERE t.run_id = r.id
      ORDER BY t.step, t.index LIMIT ${take ?? manyRows} OFFSET ${skip}
    ) AS t`;
  await takeAll(sizes, answer);
  const ids = sizes.map(({ id }) => id);
  const where = { tenantId: viewer.tenantId, rowId: { in: ids } };
  const select = { ...query.select, ...toolCallColumns };
  const orderBy = [{ step: 'asc' as const }, { index: 'asc' as const }];
  const calls = ids.length === 0 ? [] : await db.toolCall.findMany({ where, orderBy, select });
  return runs.map(({ id }) => calls.filter(({ runId }) => runId === id));
}

/**
 * Reads the user messages of runs, in the order of the runs.
 * @returns null: it was deleted; an error if it does not fit into the answer
 */
export function readUserMessages(
  viewer: Viewer,
  reads: SizedReads,
  runs: readonly Pick<Run, 'userMessageId'>[],
  query: MessageQuery,
): ReturnType<typeof readMessagesById> {
  return readMessagesById(
    viewer,
    reads,
    runs.map(({ userMessageId }) => userMessageId),
    query,
  );
}

async function takeAll(rows: readonly SizedRow[], answer: AnswerBudget): Promise<void> {
  const bytes = rows.reduce((sum, row) => sum + row.bytes + rowBytes, 0);
  if (bytes > 0) await answer.take(bytes);
}
