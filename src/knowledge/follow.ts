import { parseId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { KnowledgeDocument } from '../generated/prisma/client.ts';
import { explainMissingBase, readableBases } from './access.ts';
import type { KnowledgeRuntime } from './runtime.ts';

/**
 * The documents of a base, each whenever it has changed from now on.
 * @param id the public id, `kb_<uuid>`
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError}
 */
export async function followBase(
  viewer: Viewer,
  { db, changes }: Pick<KnowledgeRuntime, 'db' | 'changes'>,
  id: string,
): Promise<AsyncIterableIterator<KnowledgeDocument, undefined>> {
  const row = parseId('KnowledgeBase', id, ['knowledgeBaseId']);
  const select = { id: true, changeSeq: true } as const;
  const base = await db.knowledgeBase.findFirst({ where: { id: row, ...readableBases(viewer) }, select });
  if (base === null) throw await explainMissingBase(viewer, db, row);
  return changes.follow(viewer, base);
}
