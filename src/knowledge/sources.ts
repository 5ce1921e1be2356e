import { badInput } from '../api/input.ts';
import type { Db } from '../database/client.ts';
import type { KnowledgeBounds } from './runtime.ts';

/** The bytes of a part: none is written or read that would hold up others for long. */
const partBytes = 512 * 1024;

/** Whose source it is. */
export interface SourceKey {
  readonly tenantId: string;
  readonly knowledgeBaseId: string;
  readonly documentId: string;
  readonly revision: number;
}

/** The last of the locks of a transaction that adds sources: nobody who has it waits for a base. */
const roomLock = 16;

/**
 * Refuses a source that the base, or the tenant, has no room for. Call it last in the transaction that has written it: it
 * waits for others of the tenant that add sources at this moment, so that two do not both take the last room.
 * @param field of the input that was stored, for the error
 * @throws {BadUserInputError} naming the field and the limit
 */
export async function assertSourceRoom(
  tx: Db,
  { sourceBytesPerBase, sourceBytesPerTenant }: Pick<KnowledgeBounds, 'sourceBytesPerBase' | 'sourceBytesPerTenant'>,
  { tenantId, knowledgeBaseId }: Pick<SourceKey, 'tenantId' | 'knowledgeBaseId'>,
  field: 'text' | 'file',
): Promise<void> {
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`sources:${tenantId}`}, ${roomLock}))::text`;
  // A statement of its own: it sees what was written while the one before waited.
  const [found] = await tx.$queryRaw<{ base: number; tenant: number }[]>`
    SELECT coalesce(sum(source_bytes) FILTER (WHERE id = ${knowledgeBaseId}::uuid), 0)::float8 AS base,
      coalesce(sum(source_bytes), 0)::float8 AS tenant
    FROM knowledge_bases WHERE tenant_id = ${tenantId} AND deleted_at IS NULL`;
  const { base = 0, tenant = 0 } = found ?? {};
  const refuse = (whose: string, limit: number, bytes: number) =>
    badInput(
      ['input', field],
      `cannot be stored: the texts and files of ${whose} may have ${limit} bytes, and would have ${bytes}. Delete documents first`,
    );
  if (base > sourceBytesPerBase) throw refuse('the knowledge base', sourceBytesPerBase, base);
  if (tenant > sourceBytesPerTenant) throw refuse('your organisation', sourceBytesPerTenant, tenant);
}

/** Stores the source of a revision, in parts. */
export async function writeSource(
  db: Db,
  { tenantId, knowledgeBaseId, documentId, revision }: SourceKey,
  data: Buffer,
): Promise<void> {
  for (let from = 0, position = 0; from < data.length; from += partBytes, position++) {
    await db.$executeRaw`
      INSERT INTO knowledge_source_parts (tenant_id, knowledge_base_id, document_id, revision, position, data)
      VALUES (${tenantId}, ${knowledgeBaseId}::uuid, ${documentId}::uuid, ${revision}, ${position},
        ${data.subarray(from, from + partBytes)})`;
  }
}

/** Reads the source of a revision, part by part; empty: there is none. */
export async function readSource(
  db: Db,
  { tenantId, knowledgeBaseId, documentId, revision }: SourceKey,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const [part] = await db.$queryRaw<{ data: Uint8Array }[]>`
      SELECT data FROM knowledge_source_parts
      WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${knowledgeBaseId}::uuid
        AND document_id = ${documentId}::uuid AND revision = ${revision} AND position = ${parts.length}`;
    if (part === undefined) return Buffer.concat(parts);
    parts.push(part.data);
  }
}
