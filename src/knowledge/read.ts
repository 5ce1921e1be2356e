import { parseId } from '../api/ids.ts';
import {
  buildConnection,
  type Connection,
  type PageArgs,
  type PageRules,
  pageSizes,
  parsePage,
} from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { readKeyPages } from '../database/keyset-lists.ts';
import { type KnowledgeBase, type KnowledgeDocument, Prisma } from '../generated/prisma/client.ts';
import { isReadable, requireProject } from '../projects/access.ts';
import { explainMissingBase, explainMissingDocument, readableBases } from './access.ts';

/** What to load with a base, or a document: the selection of a GraphQL document. */
export interface BaseQuery {
  readonly include?: Prisma.KnowledgeBaseInclude;
}
export interface DocumentQuery {
  readonly include?: Prisma.KnowledgeDocumentInclude;
}

const byAge = timeColumn(Prisma.sql`created_at`);
const baseRules: PageRules<RowKey> = { list: 'knowledgeBases', key: byAge.key, ...pageSizes };
const documentRules: PageRules<RowKey> = { list: 'knowledgeDocuments', key: byAge.key, ...pageSizes };

/**
 * Reads a knowledge base that the viewer may read.
 * @param id the public id, `kb_<uuid>`
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError}
 */
export async function readBase(viewer: Viewer, db: Db, id: string, query: BaseQuery = {}): Promise<KnowledgeBase> {
  const row = parseId('KnowledgeBase', id, ['id']);
  const base = await db.knowledgeBase.findFirst({ where: { id: row, ...readableBases(viewer) }, ...query });
  if (base === null) throw await explainMissingBase(viewer, db, row);
  return base;
}

/**
 * Reads a document that the viewer may read.
 * @param id the public id, `doc_<uuid>`
 * @throws {BadUserInputError} if the id is malformed; {@link NotFoundError}; {@link ForbiddenError}
 */
export async function readDocument(
  viewer: Viewer,
  db: Db,
  id: string,
  query: DocumentQuery = {},
): Promise<KnowledgeDocument> {
  const row = parseId('KnowledgeDocument', id, ['id']);
  const where = { id: row, tenantId: viewer.tenantId, base: readableBases(viewer) };
  const document = await db.knowledgeDocument.findFirst({ where, ...query });
  if (document === null) throw await explainMissingDocument(viewer, db, row);
  return document;
}

/**
 * A page of the knowledge bases that the viewer may read, oldest first.
 * @param options.projectId the id or key of a project: only its bases
 * @throws {BadUserInputError} if an argument is invalid; {@link NotFoundError}; {@link ForbiddenError} for the project
 */
export async function listBases(
  viewer: Viewer,
  db: Db,
  options: PageArgs & { readonly projectId?: string | null | undefined },
  query: BaseQuery = {},
): Promise<Connection<KnowledgeBase>> {
  const page = parsePage(options, baseRules);
  const { tenantId } = viewer;
  const { projectId = null } = options;
  const scope =
    projectId === null
      ? isReadable(viewer, Prisma.sql`project_id`)
      : Prisma.sql`project_id = ${(await requireProject(viewer, db, projectId, 'VIEWER', ['projectId'])).id}::uuid`;
  const where = Prisma.sql`tenant_id = ${tenantId} AND deleted_at IS NULL AND ${scope}`;
  const list = { table: Prisma.sql`knowledge_bases`, where, sort: byAge, descending: false };
  const found = await readKeyPage(db, list, page);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows =
    ids.length === 0 ? [] : await db.knowledgeBase.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), async () => {
    const [counted] = await db.$queryRaw<{ count: number }[]>`
      SELECT count(*)::integer AS count FROM knowledge_bases WHERE ${where}`;
    return counted?.count ?? 0;
  });
}

/**
 * A page of the documents of each of some bases that the viewer was given, oldest first. Two statements for all of them.
 * @throws {BadUserInputError} if a page argument is invalid
 */
export async function listDocumentsOfBases(
  viewer: Viewer,
  db: Db,
  bases: readonly Pick<KnowledgeBase, 'id' | 'documentCount'>[],
  args: PageArgs,
  query: DocumentQuery = {},
): Promise<Connection<KnowledgeDocument>[]> {
  const { tenantId } = viewer;
  const page = parsePage(args, documentRules);
  const lists = {
    table: Prisma.sql`knowledge_documents`,
    where: Prisma.sql`tenant_id = ${tenantId}`,
    owner: Prisma.sql`knowledge_base_id`,
    sort: byAge,
    descending: false,
  };
  const baseIds = bases.map(({ id }) => id);
  const pages = await readKeyPages(db, lists, baseIds, page);
  const ids = pages.flatMap(({ rows }) => rows.map(({ key }) => key[1]));
  const rows =
    ids.length === 0 ? [] : await db.knowledgeDocument.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return bases.map(({ documentCount }, at) => {
    const found = pages[at] ?? { rows: [], moreBefore: false, moreAfter: false };
    return buildConnection(page, arrangeByKey(found, rows), () => documentCount);
  });
}

/**
 * Reads the documents that rows refer to. One statement.
 * @param ids row ids
 * @returns in the order of the ids; null: it does not exist any more, or the viewer may not read it
 */
export async function readDocumentsById(
  viewer: Viewer,
  db: Db,
  ids: readonly string[],
): Promise<(KnowledgeDocument | null)[]> {
  const where = { tenantId: viewer.tenantId, id: { in: [...ids] }, base: readableBases(viewer) };
  const rows = await db.knowledgeDocument.findMany({ where });
  const byId = new Map(rows.map((document) => [document.id, document]));
  return ids.map((id) => byId.get(id) ?? null);
}
