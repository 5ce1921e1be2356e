import { randomUUIDv7 } from 'node:crypto';
import type { Viewer } from '../auth/viewer.ts';
import { snapshotSeconds } from '../telemetry/metrics.ts';
import { type AssembledSnapshot, assembleSnapshot } from './assemble.ts';
import { createNonce } from './delimit.ts';
import { isUnused } from './expire.ts';
import { parseSnapshotInput } from './input.ts';
import type { Snapshot } from './read.ts';
import type { ContextRuntime } from './runtime.ts';

/** Snapshots that are stored of one user at most: a new one replaces the oldest. */
const maxSnapshots = 100;

/**
 * Makes a snapshot of what the viewer has at hand, and stores it for a limited time.
 * @param rawInput a ContextSnapshotInput
 * @param clientGone aborts when the client disconnects: records that are being read are given up
 * @throws {RateLimitedError} if the user is making too many at the same time; {@link BadUserInputError} naming the field
 *   and its limit; {@link UnavailableError} if the client disconnected
 */
export async function createContextSnapshot(
  viewer: Viewer,
  context: ContextRuntime,
  rawInput: unknown,
  clientGone: AbortSignal | null,
): Promise<Snapshot> {
  using _slot = context.making.enter(viewer);
  const begunAt = performance.now();
  const input = parseSnapshotInput(rawInput);
  const assembled = await assembleSnapshot(viewer, context, input, clientGone);
  const snapshot = await storeSnapshot(viewer, context, assembled);
  const { id, truncated, redactions } = snapshot;
  snapshotSeconds.observe({ truncated: String(truncated) }, (performance.now() - begunAt) / 1_000);
  context.logger.debug({ snapshotId: id, truncated, redactions }, 'created a context snapshot');
  return snapshot;
}

/** Stores a snapshot, and deletes the oldest of the user beyond the bound. One statement, by the clock of the database. */
async function storeSnapshot(
  { tenantId, userId }: Viewer,
  { db, ttlSeconds }: ContextRuntime,
  { block, truncated, redactions, references }: AssembledSnapshot,
): Promise<Snapshot> {
  const [stored] = await db.$queryRaw<Snapshot[]>`
    WITH excess AS (
      DELETE FROM context_snapshots WHERE id IN (
        SELECT s.id FROM context_snapshots AS s WHERE s.tenant_id = ${tenantId} AND s.user_id = ${userId}
        ORDER BY s.created_at DESC, s.id DESC OFFSET ${maxSnapshots - 1}
      ) AND ${isUnused}
    )
    INSERT INTO context_snapshots (id, tenant_id, user_id, block, nonce, truncated, redactions, "references", expires_at)
    VALUES (${randomUUIDv7()}::uuid, ${tenantId}, ${userId}, ${block}, ${createNonce()}, ${truncated}, ${redactions},
      ${JSON.stringify(references)}::jsonb, now() + make_interval(secs => ${ttlSeconds}))
    RETURNING id, block, truncated, redactions, "references", created_at AS "createdAt", expires_at AS "expiresAt"`;
  if (stored === undefined) throw new Error('The database returned no row for a new context snapshot.');
  return stored;
}
