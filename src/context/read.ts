import { NotFoundError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import type { InputPath } from '../api/input.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { delimitContext } from './delimit.ts';
import type { ReferenceMap } from './tool-references.ts';

/** A context snapshot as its owner sees it. */
export interface Snapshot {
  /** The row id. */
  readonly id: string;
  readonly block: string;
  readonly truncated: boolean;
  readonly redactions: number;
  /** The ids by reference; empty: none was replaced. */
  readonly references: ReferenceMap;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** What a turn gives its agent. */
export interface TurnContext {
  /** The text of a snapshot, delimited. */
  readonly text: string;
  readonly references: ReferenceMap;
}

interface SnapshotRow extends Snapshot {
  readonly tenantId: string;
  readonly userId: string;
  readonly nonce: string;
  readonly isExpired: boolean;
}

/**
 * Reads a snapshot of the viewer.
 * @param id the public id, `ctx_<uuid>`
 * @param path where the id stood in the arguments
 * @throws {BadUserInputError} if the id is malformed
 * @throws {NotFoundError} if it does not exist or has expired; {@link ForbiddenError} if it is somebody else's
 */
export async function readSnapshot(viewer: Viewer, db: Db, id: string, path: InputPath): Promise<Snapshot> {
  return readRow(viewer, db, parseId('ContextSnapshot', id, path), { acceptsExpired: false });
}

/**
 * Reads a snapshot of the viewer as a model is given it: between lines that say that it is data, which no text of it can
 * close (delimit.ts). Append it to the instructions of the agent with `writeInstructions` (engine/plan.ts). One statement.
 * @param id the public id, `ctx_<uuid>`
 * @param path where the id stood in the arguments, for the error
 * @throws {BadUserInputError} if the id is malformed
 * @throws {NotFoundError} if it does not exist or has expired; {@link ForbiddenError} if it is somebody else's
 */
export async function readContextBlock(viewer: Viewer, db: Db, id: string, path: InputPath): Promise<string> {
  return delimitContext(await readRow(viewer, db, parseId('ContextSnapshot', id, path), { acceptsExpired: false }));
}

/**
 * As {@link readContextBlock}, by the row id that a turn has stored.
 * @param options.hasWaited whether the turn comes out of the queue: it may have waited for longer than the snapshot was valid
 * @param options.maxCharacters of the text: the rest is cut off
 */
export async function readContextOfTurn(
  viewer: Viewer,
  db: Db,
  row: string,
  { hasWaited, maxCharacters }: { readonly hasWaited: boolean; readonly maxCharacters: number },
): Promise<TurnContext> {
  const snapshot = await readRow(viewer, db, row, { acceptsExpired: hasWaited });
  return { text: delimitContext(snapshot, maxCharacters), references: snapshot.references };
}

async function readRow(
  viewer: Viewer,
  db: Db,
  row: string,
  { acceptsExpired }: { readonly acceptsExpired: boolean },
): Promise<SnapshotRow> {
  // By the clock of the database, which has set the end as well.
  const [snapshot] = await db.$queryRaw<SnapshotRow[]>`
    SELECT id, tenant_id AS "tenantId", user_id AS "userId", block, nonce, truncated, redactions, "references",
      created_at AS "createdAt", expires_at AS "expiresAt", expires_at <= now() AS "isExpired"
    FROM context_snapshots WHERE id = ${row}::uuid`;
  const name = `context snapshot ${formatId('ContextSnapshot', row)}`;
  if (snapshot?.tenantId !== viewer.tenantId || snapshot.userId !== viewer.userId)
    throw notFoundOrForbidden(viewer, name, snapshot ?? null);
  if (snapshot.isExpired && !acceptsExpired)
    throw new NotFoundError(`The ${name} has expired. Create another one with createContextSnapshot.`);
  return snapshot;
}
