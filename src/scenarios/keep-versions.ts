import type { Prisma } from '../generated/prisma/client.ts';
import { snapshotOf } from './snapshot.ts';

/** Versions of a scenario that are stored, and their bytes: the oldest go first, the current one stays. */
const maxVersions = 50;
const maxVersionBytes = 1_000_000;

/** Who has made a version, and how. */
export interface VersionOrigin {
  /** The user; null: the server, from a file or a seed. */
  readonly userId: string | null;
  /** The version that was restored; null: none. */
  readonly restoredFrom: number | null;
}

/** The origin of what the server writes by itself. */
export const byServer: VersionOrigin = { userId: null, restoredFrom: null };

/**
 * Stores the present version of a scenario if it is not: a release that stores none has made it while an upgrade was rolling,
 * and by whom is not known. Whoever replaces a scenario calls it before. One statement, which writes nothing as a rule.
 * @param tx a transaction that has locked the scenario's row
 * @param scenarioId the row id
 */
export async function keepPresentVersion(
  tx: Prisma.TransactionClient,
  tenantId: string,
  scenarioId: string,
): Promise<void> {
  await tx.$executeRaw`
    WITH present AS (
      SELECT s.id, s.version, s.updated_at, ${snapshotOf} AS snapshot
      FROM scenarios AS s WHERE s.tenant_id = ${tenantId} AND s.id = ${scenarioId}::uuid AND NOT EXISTS (
        SELECT 1 FROM scenario_versions AS v
        WHERE v.tenant_id = s.tenant_id AND v.scenario_id = s.id AND v.version = s.version
      )
    )
    INSERT INTO scenario_versions (tenant_id, scenario_id, version, snapshot, bytes, created_at)
    SELECT ${tenantId}, id, version, snapshot, octet_length(snapshot::text), updated_at FROM present
    ON CONFLICT DO NOTHING`;
}

/**
 * Stores the versions that scenarios have now, and deletes the oldest ones that are too many. Whoever writes a scenario calls
 * it in the same transaction, after the graph is written. One statement.
 * @param tx a transaction that has created the scenarios, or has locked their rows
 * @param scenarioIds row ids
 */
export async function keepVersions(
  tx: Prisma.TransactionClient,
  tenantId: string,
  scenarioIds: readonly string[],
  { userId, restoredFrom }: VersionOrigin,
): Promise<void> {
  await tx.$executeRaw`
    WITH present AS (
      SELECT s.id, s.version, s.updated_at, ${snapshotOf} AS snapshot
      FROM scenarios AS s WHERE s.tenant_id = ${tenantId} AND s.id = ANY(${[...scenarioIds]}::uuid[])
    ), sized AS (
      SELECT *, octet_length(snapshot::text) AS bytes FROM present
    ), old AS (
      DELETE FROM scenario_versions USING (
        SELECT v.scenario_id, v.version, sized.version AS present, sized.bytes
          + sum(v.bytes) OVER (PARTITION BY v.scenario_id ORDER BY v.version DESC) AS newer
        FROM scenario_versions AS v JOIN sized ON sized.id = v.scenario_id WHERE v.tenant_id = ${tenantId}
      ) AS ranked
      WHERE scenario_versions.tenant_id = ${tenantId} AND scenario_versions.scenario_id = ranked.scenario_id
        AND scenario_versions.version = ranked.version
        AND (ranked.version <= ranked.present - ${maxVersions} OR ranked.newer > ${maxVersionBytes})
    )
    INSERT INTO scenario_versions (tenant_id, scenario_id, version, snapshot, bytes, changed_by, restored_from, created_at)
    SELECT ${tenantId}, id, version, snapshot, bytes, ${userId}, ${restoredFrom}::integer, updated_at FROM sized`;
}
