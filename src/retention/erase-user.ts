import { deleteConversationRows } from '../conversations/delete-rows.ts';
import type { Database } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { erasedText, eraseTicketTexts } from '../tickets/erase-texts.ts';

type Eraser = Pick<Database, '$queryRaw' | '$executeRaw' | '$transaction'>;

/** A user of a tenant. */
export interface Erased {
  readonly tenantId: string;
  readonly userId: string;
}

/** How many rows of a table are about a user. */
export interface UserRows {
  readonly table: string;
  readonly rows: number;
}

/** Conversations that one statement deletes. */
const conversationsPerStatement = 20;
const filesPerStatement = 20;
const deliveriesPerStatement = 200;
const commentsPerStatement = 200;
/** Who has done something, in rows that are not the user's own: this stands there in place of the id. */
const erasedName = 'erased';

/**
 * Counts what is kept of a user: the rows of every table with a column that names users, and what webhooks are to be sent of the
 * user. One statement for each of them.
 * @returns the tables that have some
 */
export async function countUserRows(db: Eraser, user: Erased): Promise<readonly UserRows[]> {
  const counts = new Map<string, number>();
  for (const column of await listUserColumns(db)) {
    const [found] = await db.$queryRaw<{ rows: number }[]>`
      SELECT count(*)::int AS rows FROM ${tableOf(column)} WHERE ${names(column, user)}`;
    if (found && found.rows > 0) counts.set(column.table, (counts.get(column.table) ?? 0) + found.rows);
  }
  const [deliveries] = await db.$queryRaw<{ rows: number }[]>`
    SELECT count(*)::int AS rows FROM webhook_deliveries WHERE ${tells(user)}`;
  if (deliveries && deliveries.rows > 0) counts.set('webhook_deliveries', deliveries.rows);
  return [...counts].map(([table, rows]) => ({ table, rows }));
}

/**
 * Deletes everything that is kept of a user: conversations with all that hangs on them, own agents with their keys, speech,
 * exports, drafts, context, settings, the feed, memberships and the ledger. Tickets that the user has created stay without any
 * text, comments of the user on other tickets too. In rows that belong to others, `erased` replaces the user's id. Turns that are under way are lost by the process that carries them out, and write nothing more. A second call
 * finds nothing and changes nothing; one that was interrupted is finished by the next.
 * @param onProgress called with the number of conversations that are deleted so far
 */
export async function eraseUser(db: Eraser, user: Erased, onProgress: (deleted: number) => void): Promise<void> {
  const { tenantId, userId } = user;
  if (userId === erasedName)
    throw new Error(`Rows of all erased users name ${erasedName}: nothing says which to erase.`);
  const own = Prisma.sql`tenant_id = ${tenantId} AND user_id = ${userId}`;
  let total = 0;
  for (;;) {
    const which = Prisma.sql`c.tenant_id = ${tenantId} AND c.user_id = ${userId}`;
    const deleted = await deleteConversationRows(db, which, conversationsPerStatement);
    total += deleted.length;
    if (deleted.length > 0) onProgress(total);
    else if (!(await hasConversations(db, user))) break;
  }
  for (const table of [Prisma.sql`speech_clips`, Prisma.sql`exports`, Prisma.sql`attachments`]) {
    await repeat(
      filesPerStatement,
      () => db.$executeRaw`
        DELETE FROM ${table} WHERE id = ANY(ARRAY(SELECT id FROM ${table} WHERE ${own} LIMIT ${filesPerStatement}))`,
    );
  }
  await eraseTickets(db, user);
  // What is left goes with the row of the user, by foreign keys.
  await db.$executeRaw`DELETE FROM users WHERE tenant_id = ${tenantId} AND id = ${userId}`;
  for (const column of await listUserColumns(db)) {
    if (column.isOwner) await db.$executeRaw`DELETE FROM ${tableOf(column)} WHERE ${names(column, user)}`;
    else {
      const name = Prisma.raw(`"${column.name}"`);
      await db.$executeRaw`UPDATE ${tableOf(column)} SET ${name} = ${erasedName} WHERE ${names(column, user)}`;
    }
  }
}

/** How long Redis holds the events of a run at most, in hours, and a margin. */
const streamHours = 2;

/** The row ids of the runs of a user whose events Redis may hold (log/redis/delete-streams.ts). Ask before they are deleted. */
export async function listStreamedRuns(db: Eraser, { tenantId, userId }: Erased): Promise<readonly string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    SELECT r.id::text AS id FROM conversations AS c JOIN runs AS r ON r.conversation_id = c.id
    WHERE c.tenant_id = ${tenantId} AND c.user_id = ${userId}
      AND (r.finished_at IS NULL OR r.finished_at > now() - ${streamHours} * interval '1 hour')`;
  return rows.map(({ id }) => id);
}

async function hasConversations(db: Eraser, { tenantId, userId }: Erased): Promise<boolean> {
  const [found] = await db.$queryRaw<{ found: boolean }[]>`
    SELECT EXISTS (SELECT 1 FROM conversations WHERE tenant_id = ${tenantId} AND user_id = ${userId}) AS found`;
  return found?.found === true;
}

/** Tickets outlive their authors, who are not in them any more. */
async function eraseTickets(db: Eraser, user: Erased): Promise<void> {
  const { tenantId, userId } = user;
  const which = Prisma.sql`t.created_by = ${userId}`;
  const unlink = Prisma.sql`created_by = ${erasedName}`;
  await repeat(1, () => db.$transaction((tx) => eraseTicketTexts(tx, tenantId, { which, unlink })));
  await repeat(
    commentsPerStatement,
    () => db.$executeRaw`
      UPDATE ticket_comments SET body = ${erasedText}, author = ${erasedName} WHERE id = ANY(ARRAY(
        SELECT id FROM ticket_comments WHERE tenant_id = ${tenantId} AND author = ${userId} LIMIT ${commentsPerStatement}))`,
  );
  await db.$executeRaw`
    UPDATE ticket_changes SET
      value_before = CASE WHEN value_before = ${userId} THEN ${erasedName} ELSE value_before END,
      value_after = CASE WHEN value_after = ${userId} THEN ${erasedName} ELSE value_after END
    WHERE tenant_id = ${tenantId} AND field = 'assignee' AND ${userId} IN (value_before, value_after)`;
  // What the user has said, and the ends of the user's turns, are not sent any more; of the rest, others are told without the id.
  await repeat(
    deliveriesPerStatement,
    () => db.$executeRaw`
      DELETE FROM webhook_deliveries WHERE id = ANY(ARRAY(
        SELECT id FROM webhook_deliveries WHERE tenant_id = ${tenantId} AND ${saidBy(userId)}
        LIMIT ${deliveriesPerStatement}))`,
  );
  for (const path of namesInBodies) {
    const value = Prisma.sql`body#>>${[...path]}::text[]`;
    await repeat(
      deliveriesPerStatement,
      () => db.$executeRaw`
        UPDATE webhook_deliveries SET body = jsonb_set(body, ${[...path]}::text[], to_jsonb(${erasedName}::text))
        WHERE id = ANY(ARRAY(
          SELECT id FROM webhook_deliveries WHERE tenant_id = ${tenantId} AND ${value} = ${userId}
          LIMIT ${deliveriesPerStatement}))`,
    );
  }
  await repeat(
    deliveriesPerStatement,
    () => db.$executeRaw`
      UPDATE webhook_deliveries SET body = jsonb_set(body, '{data,changes}', (
        SELECT jsonb_agg(CASE WHEN change->>'field' = 'assignee' THEN change || jsonb_build_object(
          'from', CASE WHEN change->>'from' = ${userId} THEN ${erasedName} ELSE change->>'from' END,
          'to', CASE WHEN change->>'to' = ${userId} THEN ${erasedName} ELSE change->>'to' END) ELSE change END ORDER BY place)
        FROM jsonb_array_elements(body->'data'->'changes') WITH ORDINALITY AS changes (change, place)))
      WHERE id = ANY(ARRAY(
        SELECT id FROM webhook_deliveries WHERE tenant_id = ${tenantId} AND ${changesAssignee(userId)}
        LIMIT ${deliveriesPerStatement}))`,
  );
}

/**
 * Where bodies of deliveries name users who have done something: each place by itself, because a user can be called like any
 * other value, such as OPEN.
 */
const namesInBodies = [
  ['data', 'ticket', 'createdBy'],
  ['data', 'ticket', 'assignee'],
  ['data', 'changedBy'],
] as const;

/** The condition for deliveries that tell what a user has said, or how a turn of the user has ended. */
function saidBy(userId: string): Prisma.Sql {
  return Prisma.sql`${userId} IN (body->'data'->>'userId', body->'data'->'comment'->>'author')`;
}

/** The condition for deliveries that tell of a ticket that was given to a user, or taken from one. */
function changesAssignee(userId: string): Prisma.Sql {
  return Prisma.sql`EXISTS (
    SELECT 1 FROM jsonb_array_elements(body->'data'->'changes') AS change
    WHERE change->>'field' = 'assignee' AND ${userId} IN (change->>'from', change->>'to'))`;
}

/** The condition for deliveries whose body names a user. */
function tells({ tenantId, userId }: Erased): Prisma.Sql {
  const named = namesInBodies.map((path) => Prisma.sql`body#>>${[...path]}::text[] = ${userId}`);
  const conditions = Prisma.join([saidBy(userId), changesAssignee(userId), ...named], ' OR ');
  return Prisma.sql`tenant_id = ${tenantId} AND (${conditions})`;
}

/** @param batch as many rows as one statement changes if there are more */
async function repeat(batch: number, change: () => Promise<number>): Promise<void> {
  let changed: number;
  do {
    changed = await change();
  } while (changed >= batch);
}

/** A column that names users of the tenant of its row. */
interface UserColumn {
  readonly table: string;
  readonly name: string;
  /** Whether the row belongs to the user; else it only says what the user has done. */
  readonly isOwner: boolean;
}

/** Found in the catalogue, so that a table that is added later is not forgotten. */
function listUserColumns(db: Eraser): Promise<UserColumn[]> {
  return db.$queryRaw`
    SELECT c.table_name::text AS table, c.column_name::text AS name,
      c.column_name IN ('user_id', 'owner_id') OR c.table_name = 'users' AS "isOwner"
    FROM information_schema.columns AS c
    JOIN information_schema.columns AS t
      ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.column_name = 'tenant_id'
    JOIN information_schema.tables AS b
      ON b.table_schema = c.table_schema AND b.table_name = c.table_name AND b.table_type = 'BASE TABLE'
    WHERE c.table_schema = 'public' AND c.data_type = 'text'
      AND (c.column_name IN ('user_id', 'owner_id', 'assignee', 'author', 'by') OR c.column_name LIKE '%\\_by'
        OR (c.table_name = 'users' AND c.column_name = 'id'))
    ORDER BY 1, 2`;
}

/** The names come from the catalogue, and from nowhere else. */
function tableOf({ table }: UserColumn): Prisma.Sql {
  return Prisma.raw(`"${table}"`);
}

function names({ name }: UserColumn, { tenantId, userId }: Erased): Prisma.Sql {
  return Prisma.sql`tenant_id = ${tenantId} AND ${Prisma.raw(`"${name}"`)} = ${userId}`;
}
