import { formatId, parseId } from '../api/ids.ts';
import { isAdmin, notFoundOrForbidden, requireAdmin } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { Feedback, Scenario } from '../generated/prisma/client.ts';
import type { FeedbackQuery } from './list.ts';

/**
 * One feedback of the viewer's tenant, for its admins.
 * @param id the public id
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id; {@link ForbiddenError} unless the viewer is an admin
 */
export async function readFeedback(viewer: Viewer, db: Db, id: string, query: FeedbackQuery = {}): Promise<Feedback> {
  const row = parseId('Feedback', id, ['id']);
  if (!isAdmin(viewer)) requireAdmin(viewer, `see the feedback ${id}`);
  const found = await db.feedback.findUnique({ where: { id: row, tenantId: viewer.tenantId }, ...query });
  if (found !== null) return found;
  const other = await db.feedback.findUnique({ where: { id: row }, select: { tenantId: true } });
  const owner = other && { tenantId: other.tenantId, userId: null };
  throw notFoundOrForbidden(viewer, `feedback ${formatId('Feedback', row)}`, owner);
}

/** What the viewer thinks of each of these messages, by their row ids; null: nothing. One statement. */
export async function readOwnFeedback(
  { tenantId, userId }: Viewer,
  db: Db,
  messageIds: readonly string[],
): Promise<(Feedback | null)[]> {
  const rows = await db.feedback.findMany({ where: { tenantId, userId, messageId: { in: [...messageIds] } } });
  const byMessage = new Map(rows.map((row) => [row.messageId, row]));
  return messageIds.map((id) => byMessage.get(id) ?? null);
}

/** The scenarios of feedback, by their row ids; null: it was deleted, or there was none. One statement. */
export async function readScenarios(
  { tenantId }: Viewer,
  db: Db,
  ids: readonly (string | null)[],
): Promise<(Scenario | null)[]> {
  const wanted = [...new Set(ids)].filter((id) => id !== null);
  const rows = wanted.length === 0 ? [] : await db.scenario.findMany({ where: { tenantId, id: { in: wanted } } });
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.map((id) => (id === null ? null : (byId.get(id) ?? null)));
}
