import { z } from 'zod';
import { buildConnection, type Connection, type PageArgs, pageSizes, parsePage } from '../../api/paging.ts';
import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import { fitPage } from '../../limits/fit-page.ts';
import { storedAttachments } from '../attachment.ts';
import { hashToken } from './share.ts';

/** A shared conversation, as it is found by its token. */
export interface Shared {
  readonly tenantId: string;
  readonly conversationId: string;
  readonly upToMessageId: string;
  readonly withTools: boolean;
  readonly title: string;
  readonly createdAt: Date;
}

/** 256 bits in base64url. */
const tokenForm = /^[\w-]{43}$/;

/**
 * Finds a shared conversation for whoever has its token. One statement, which takes the same for a token that never was, one
 * that has expired, and one that was revoked.
 * @returns null: there is none under this token
 */
export async function findShared(db: Db, token: string): Promise<Shared | null> {
  if (!tokenForm.test(token)) return null;
  const [shared] = await db.$queryRaw<Shared[]>`
    SELECT s.tenant_id AS "tenantId", s.conversation_id::text AS "conversationId",
      s.up_to_message_id::text AS "upToMessageId", s.with_tools AS "withTools", c.title, c.created_at AS "createdAt"
    FROM conversation_shares AS s
    JOIN conversations AS c ON c.tenant_id = s.tenant_id AND c.id = s.conversation_id
    WHERE s.token_hash = ${hashToken(token)} AND (s.expires_at IS NULL OR s.expires_at > now())
      AND (c.project_id IS NULL OR s.by_admin OR EXISTS (
        SELECT FROM project_members AS m
        WHERE m.tenant_id = s.tenant_id AND m.project_id = c.project_id AND m.user_id = c.user_id))`;
  return shared ?? null;
}

const shownColumns = {
  id: true,
  role: true,
  status: true,
  content: true,
  attachments: true,
  createdAt: true,
  agent: { select: { name: true } },
  toolCalls: {
    select: { name: true, arguments: true, result: true },
    orderBy: [{ step: 'asc' }, { index: 'asc' }],
  },
} as const satisfies Prisma.MessageSelect;

type Row = Prisma.MessageGetPayload<{ select: typeof shownColumns }>;

/** A message as a stranger may see it. */
export type SharedMessage = ReturnType<typeof show>;

const numberKey = z.tuple([z.int().min(0).max(2_147_483_647)]);
type NumberKey = z.output<typeof numberKey>;

/**
 * A page of the messages of a shared conversation, the oldest first: the path to the message up to which it is shared. Not
 * among them are what guardrails have blocked, what is still being written, and instructions of the application.
 * @throws {BadUserInputError} if a page argument is invalid
 * @throws {QueryTooComplexError} if not even one message fits into the answer
 */
export async function listSharedMessages(
  shared: Shared,
  { db, answer }: SizedReads,
  args: PageArgs,
): Promise<Connection<SharedMessage>> {
  const { tenantId, conversationId } = shared;
  const page = parsePage<NumberKey>(args, { list: 'sharedMessages', key: numberKey, ...pageSizes });
  const conditions = [
    ...(page.after === null ? [] : [Prisma.sql`AND m.number > ${page.after[0]}::int`]),
    ...(page.before === null ? [] : [Prisma.sql`AND m.number < ${page.before[0]}::int`]),
  ];
  const calls = shared.withTools
    ? Prisma.sql`(SELECT coalesce(sum(t.bytes), 0)::int FROM tool_calls AS t WHERE t.message_id = m.id)`
    : Prisma.sql`0`;
  const rows = await db.$queryRaw<{ id: string; number: number; bytes: number }[]>`
    ${pathTo(shared)}
    SELECT m.id::text, m.number, m.bytes + ${calls} AS bytes FROM ${shownMessages(shared)}
    ${Prisma.join([Prisma.empty, ...conditions], ' ')}
    ORDER BY m.number ${page.backward ? Prisma.sql`DESC` : Prisma.sql`ASC`} LIMIT ${page.size + 1}`;
  const kept = rows.slice(0, page.size);
  const isCut = rows.length > kept.length;
  const found = await fitPage(
    page,
    {
      rows: page.backward ? kept.toReversed() : kept,
      moreBefore: page.backward ? isCut : page.after !== null,
      moreAfter: page.backward ? page.before !== null : isCut,
    },
    answer,
  );
  const ids = found.rows.map(({ id }) => id);
  const messages =
    ids.length === 0
      ? []
      : await db.message.findMany({ where: { tenantId, conversationId, id: { in: ids } }, select: shownColumns });
  const byId = new Map(messages.map((message) => [message.id, message]));
  const nodes = found.rows.flatMap(({ id, number }) => {
    const message = byId.get(id);
    // A guardrail may have blocked it since.
    if (message === undefined || message.status === 'BLOCKED') return [];
    return [{ key: [number] satisfies NumberKey, node: show(message, shared) }];
  });
  return buildConnection(page, { ...found, rows: nodes }, () => countShown(shared, db));
}

async function countShown(shared: Shared, db: Db): Promise<number> {
  const [row] = await db.$queryRaw<{ count: number }[]>`
    ${pathTo(shared)} SELECT count(*)::int AS count FROM ${shownMessages(shared)}`;
  return row?.count ?? 0;
}

/**
 * The path to the message up to which is shared, as WITH: by positions if it is of the active branch, else from child to parent.
 * It is read with the messages in one statement, so that a branch that is chosen meanwhile shows nothing of itself.
 */
function pathTo({ tenantId, conversationId, upToMessageId }: Shared): Prisma.Sql {
  return Prisma.sql`WITH RECURSIVE up_to AS (
      SELECT id, parent_id, position FROM messages
      WHERE tenant_id = ${tenantId} AND conversation_id = ${conversationId}::uuid AND id = ${upToMessageId}::uuid
    ), walked AS (
      SELECT id, parent_id FROM up_to WHERE position IS NULL
      UNION ALL
      SELECT m.id, m.parent_id FROM walked
      JOIN messages AS m ON m.conversation_id = ${conversationId}::uuid AND m.id = walked.parent_id
    ), path AS (
      SELECT m.id FROM up_to
      JOIN messages AS m ON m.conversation_id = ${conversationId}::uuid AND m.position <= up_to.position
      UNION ALL SELECT id FROM walked
    )`;
}

function shownMessages({ tenantId, conversationId }: Shared): Prisma.Sql {
  return Prisma.sql`path JOIN messages AS m ON m.id = path.id
    WHERE m.tenant_id = ${tenantId} AND m.conversation_id = ${conversationId}::uuid
      AND m.role IN ('USER', 'ASSISTANT') AND m.status NOT IN ('BLOCKED', 'STREAMING')`;
}

/** Nothing of it leads to anything else: no ids but its own. */
function show({ agent, toolCalls, ...message }: Row, { withTools }: Shared) {
  return {
    id: message.id,
    role: message.role,
    content: message.content,
    agentName: agent?.name ?? null,
    attachments: storedAttachments
      .parse(message.attachments)
      .map((attachment) => ({ ...attachment, knowledgeBaseId: null, id: null })),
    toolCalls: toolCalls.map((call) => ({
      name: call.name,
      arguments: withTools ? call.arguments : null,
      result: withTools ? call.result : null,
    })),
    createdAt: message.createdAt,
  };
}
