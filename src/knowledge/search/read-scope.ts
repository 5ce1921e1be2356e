import { badInput, type InputPath } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { isReadable } from '../../projects/access.ts';
import type { StoredSecret } from '../../secrets/stored-secrets.ts';

/** The bases of one search, at most. */
const maxBases = 1_000;

/** A base that is searched. */
export interface SearchedBase {
  /** The row id. */
  readonly id: string;
  readonly language: string;
  /** Its embedding provider as JSON; null: that of the environment. */
  readonly embedding: unknown;
  readonly chunkCount: number;
  readonly secrets: readonly StoredSecret[];
}

/** Which bases are searched: all that the viewer may read, unless they are named. Ids are row ids. */
export interface SearchScope {
  /** Null: all of them. */
  readonly baseIds: readonly string[] | null;
  /** Only bases of the project with this row id; `none`: only those that belong to no project; `any`: all of these. */
  readonly project: { readonly id: string } | 'none' | 'any';
}

/**
 * The bases of a scope that the viewer may read, with what searching them takes. One statement.
 * @param path of what was asked for, for errors
 * @throws {BadUserInputError} if there are more than 1,000
 */
export async function readScope(
  viewer: Viewer,
  db: Db,
  { baseIds, project }: SearchScope,
  path: InputPath,
): Promise<SearchedBase[]> {
  const named = baseIds === null ? Prisma.empty : Prisma.sql`AND b.id = ANY(${[...baseIds]}::uuid[])`;
  const bases = await db.$queryRaw<SearchedBase[]>`
    SELECT b.id::text, b.language, b.embedding, b.chunk_count AS "chunkCount", coalesce((
        SELECT jsonb_agg(jsonb_build_object('agentId', NULL, 'toolId', NULL, 'mcpServerId', NULL, 'webhookId', NULL,
          'knowledgeBaseId', s.knowledge_base_id, 'name', s.name, 'origin', s.origin, 'sealed', s.sealed))
        FROM secrets AS s WHERE s.knowledge_base_id = b.id AND s.tenant_id = b.tenant_id
      ), '[]') AS secrets
    FROM knowledge_bases AS b
    WHERE b.tenant_id = ${viewer.tenantId} AND b.deleted_at IS NULL AND ${isReadable(viewer, Prisma.sql`b.project_id`)}
      ${named} ${belongsTo(project)}
    ORDER BY b.created_at, b.id LIMIT ${maxBases + 1}`;
  if (bases.length > maxBases) {
    throw badInput(path, `must name at most ${maxBases} knowledge bases: you can read more than that`);
  }
  return bases;
}

function belongsTo(project: SearchScope['project']): Prisma.Sql {
  if (project === 'any') return Prisma.empty;
  return project === 'none' ? Prisma.sql`AND b.project_id IS NULL` : Prisma.sql`AND b.project_id = ${project.id}::uuid`;
}
