import type { Viewer } from '../auth/viewer.ts';
import { fold, readTerms } from '../conversations/search/terms.ts';
import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';

/** A memory as an agent is told it. */
export interface FoundMemory {
  readonly text: string;
  readonly updatedAt: Date;
}

/** Whose memories, and of which conversations. */
interface MemoryScope {
  /** The row id of the project of the conversation; null: it is in none. */
  readonly projectId: string | null;
  readonly limit: number;
}

/**
 * The condition for the memories that are used in a conversation, whose project the viewer is known to be a member of: those of
 * no project, and those of its own.
 */
function usedIn({ tenantId, userId }: Viewer, projectId: string | null): Prisma.Sql {
  return Prisma.sql`m.tenant_id = ${tenantId} AND m.user_id = ${userId}
    AND (m.project_id IS NULL OR m.project_id = ${projectId}::uuid)`;
}

/** The last changed memories of the viewer in a conversation. One statement. */
export function readNewest(viewer: Viewer, db: Db, { projectId, limit }: MemoryScope): Promise<FoundMemory[]> {
  return db.$queryRaw<FoundMemory[]>`
    SELECT m.text, m.updated_at AS "updatedAt" FROM memories AS m WHERE ${usedIn(viewer, projectId)}
    ORDER BY m.updated_at DESC, m.id DESC LIMIT ${limit}`;
}

/**
 * The memories of the viewer that fit best to a text, by the words that they share with it and by their spelling, joined by the
 * ranks that they have in both, as searches of knowledge are. One statement.
 */
export function findMemories(
  viewer: Viewer,
  db: Db,
  search: string,
  { projectId, limit }: MemoryScope,
): Promise<FoundMemory[]> {
  // Any of the words: a question has more words than the fact that answers it.
  const terms = readTerms(search)?.query.replaceAll(' & ', ' | ') ?? null;
  if (terms === null) return Promise.resolve([]);
  return db.$queryRaw<FoundMemory[]>`
    WITH used AS MATERIALIZED (
      SELECT m.id, m.text, m.updated_at, ts_rank(m.tsv, ${terms}::tsquery) AS words,
        word_similarity(${fold(search)}, lower(m.text)) AS spelling
      FROM memories AS m WHERE ${usedIn(viewer, projectId)}
    ), ranked AS (
      SELECT id, rank() OVER (ORDER BY words DESC) AS place FROM used WHERE words > 0
      UNION ALL
      SELECT id, rank() OVER (ORDER BY spelling DESC) AS place FROM used WHERE spelling >= 0.3
    )
    SELECT u.text, u.updated_at AS "updatedAt" FROM used AS u JOIN (
      SELECT id, sum(1.0 / (60 + place)) AS score FROM ranked GROUP BY id
    ) AS found ON found.id = u.id
    ORDER BY found.score DESC, u.updated_at DESC, u.id DESC LIMIT ${limit}`;
}
