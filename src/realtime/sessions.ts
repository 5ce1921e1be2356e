import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import type { InputPath } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import type { GuardResult } from '../engine/guard.ts';
import type { RealtimeSession } from '../generated/prisma/client.ts';
import { guardDecision } from '../guardrails/config.ts';
import { realtimeLimits } from './limits.ts';

/** How many old sessions one statement deletes. */
const sweepBatch = 100;
/** How many results of guardrails a session shows. */
const maxResults = 100;

/**
 * Reads a realtime session of the viewer. One statement.
 * @param id the public id
 * @param path of the id in the arguments, for errors
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError} if it is another user's
 */
export async function readRealtimeSession(
  viewer: Viewer,
  db: Db,
  id: string,
  path: InputPath = ['id'],
): Promise<RealtimeSession> {
  const sessionId = parseId('RealtimeSession', id, path);
  const { tenantId, userId } = viewer;
  const session = await db.realtimeSession.findUnique({ where: { id: sessionId, tenantId, userId } });
  if (session !== null) return session;
  const owner = await db.realtimeSession.findUnique({
    where: { id: sessionId },
    select: { tenantId: true, userId: true },
  });
  throw notFoundOrForbidden(viewer, `realtime session ${id}`, owner);
}

/**
 * As {@link readRealtimeSession}, for a session that goes on.
 * @throws {ConflictError} if it has ended
 */
export async function requireOpenSession(
  viewer: Viewer,
  db: Db,
  id: string,
  path: InputPath,
): Promise<RealtimeSession> {
  const session = await readRealtimeSession(viewer, db, id, path);
  // One that runs out just now is refused when it is written to, by the clock of the database.
  if (session.endedAt !== null || session.endsAt.getTime() <= Date.now()) throw hasEnded(session.id);
  return session;
}

/** The error for a session that has ended. @param sessionId the row id */
export function hasEnded(sessionId: string): ConflictError {
  return new ConflictError(
    `The realtime session ${formatId('RealtimeSession', sessionId)} has ended. Start another one with startRealtimeSession, in the same conversation.`,
  );
}

/**
 * Ends a realtime session of the viewer: nothing more is recorded of it. A second time it changes nothing. The call itself is
 * between the browser and the provider, and the browser hangs up.
 * @param id the public id
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError} if it is another user's
 */
export async function endRealtimeSession(viewer: Viewer, db: Db, id: string): Promise<RealtimeSession> {
  const sessionId = parseId('RealtimeSession', id, ['id']);
  const { tenantId, userId } = viewer;
  await db.$executeRaw`
    UPDATE realtime_sessions SET ended_at = least(now(), ends_at)
    WHERE id = ${sessionId}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId} AND ended_at IS NULL`;
  return readRealtimeSession(viewer, db, id);
}

/** What the guardrails decided last about tool calls of a session, the newest first; at most 100. One statement. */
export async function readGuardResults(
  { tenantId, userId }: Viewer,
  db: Db,
  sessionId: string,
): Promise<GuardResult[]> {
  const rows = await db.realtimeGuardrailResult.findMany({
    where: { tenantId, sessionId, session: { userId } },
    orderBy: [{ at: 'desc' }, { id: 'desc' }],
    take: maxResults,
  });
  return rows.map(({ id, guardrail, stage, agentId, tripwireTriggered, decision, at }) => {
    return { id, guardrail, stage, agentId, tripwireTriggered, decision: guardDecision.parse(decision), at };
  });
}

/** Deletes sessions that ended a week ago, some at a time. Their messages stay. */
export async function deleteOldSessions(db: Database): Promise<void> {
  const keptSeconds = realtimeLimits.keptMs / 1_000;
  let deleted: number;
  do {
    deleted = await db.$executeRaw`
      DELETE FROM realtime_sessions WHERE id = ANY(ARRAY(
        SELECT id FROM realtime_sessions WHERE ends_at < now() - make_interval(secs => ${keptSeconds}::double precision)
        ORDER BY ends_at LIMIT ${sweepBatch}
      ))`;
  } while (deleted === sweepBatch);
}
