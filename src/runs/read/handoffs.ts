import { NotFoundError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import type { InputPath } from '../../api/input.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { makeDeletedRun } from '../../database/deleted-rows.ts';
import type { Handoff, Prisma, Run } from '../../generated/prisma/client.ts';
import { type RunQuery, readRun } from './read.ts';

/** What the graph reads of a handoff. */
export const handoffColumns = {
  id: true,
  runId: true,
  fromAgentId: true,
  toAgentId: true,
  seq: true,
  reason: true,
  at: true,
} as const satisfies Prisma.HandoffSelect;

/** A handoff as the graph reads it. */
export type HandoffShape = Pick<Handoff, keyof typeof handoffColumns>;

/**
 * A handoff of the viewer's runs.
 * @param rawId the public id
 * @param path where the id stood in the arguments
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError}
 */
export async function findHandoff(
  viewer: Viewer,
  db: Db,
  rawId: string,
  path: InputPath,
  query: { readonly select?: Prisma.HandoffSelect } = {},
): Promise<HandoffShape> {
  const id = parseId('Handoff', rawId, path);
  const { tenantId, userId } = viewer;
  const select = { ...query.select, ...handoffColumns };
  const handoff = await db.handoff.findUnique({ where: { id, tenantId, run: { userId } }, select });
  if (handoff) return handoff;
  const other = await db.handoff.findUnique({
    where: { id },
    select: { run: { select: { tenantId: true, userId: true } } },
  });
  throw notFoundOrForbidden(viewer, `handoff ${rawId}`, other?.run ?? null);
}

/** The run of a handoff; an empty one if it was deleted while an event of it was on its way. */
export function readHandoffRun(viewer: Viewer, db: Db, { runId, at }: HandoffShape, query: RunQuery): Promise<Run> {
  return readRun(viewer, db, runId, query).catch((error: unknown) => {
    if (error instanceof NotFoundError) return makeDeletedRun(viewer, runId, at);
    throw error;
  });
}
