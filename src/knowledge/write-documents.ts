import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import { badInput, parseInput } from '../api/input.ts';
import type { UploadedFile } from '../api/uploaded-file.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import type { KnowledgeDocument, Prisma } from '../generated/prisma/client.ts';
import { assertMayChange, assertStillThere, explainMissingDocument, readableBases, requireBase } from './access.ts';
import { addDocumentInput, updateDocumentInput } from './input.ts';
import { insertDocuments } from './insert-documents.ts';
import { indexDocumentJob } from './jobs.ts';
import { guessMediaType, unknownMediaType } from './parse/media-types.ts';
import type { DocumentQuery } from './read.ts';
import type { KnowledgeRuntime } from './runtime.ts';
import { assertSourceRoom, writeSource } from './sources.ts';
import { deleteWordsOf } from './words.ts';

/** How often a document is deleted that has begun to be indexed again meanwhile. */
const maxDeleteAttempts = 5;
const beingDeleted = 'It is being deleted. If it does not go away, that was interrupted: delete it again.';

/** What a document is indexed from. */
interface Source {
  readonly data: Buffer;
  readonly mediaType: string;
}

/**
 * Adds a document to a base: from a text, a file, or an address. It is indexed by a background job.
 * @param input AddKnowledgeDocumentInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field and its limit; {@link NotFoundError};
 *   {@link ForbiddenError}; {@link ConflictError} if the base has too many, or its project is archived
 */
export async function addDocument(
  viewer: Viewer,
  knowledge: KnowledgeRuntime,
  input: unknown,
  query: DocumentQuery = {},
): Promise<KnowledgeDocument> {
  const { db, guard, changes, changeLimit, bounds } = knowledge;
  await changeLimit.take(viewer);
  const given = parseInput(addDocumentInput, input, ['input']);
  const { text = null, file = null, url = null, title, mediaType = null } = given;
  if ([text, file, url].filter((value) => value !== null).length !== 1)
    throw badInput(['input'], 'must have exactly one of text, file and url');
  const refusal = url === null ? null : (explainUrl(url) ?? guard.explainRefusal(url));
  if (refusal !== null) throw badInput(['input', 'url'], refusal);
  const source = readSource({ text, file, mediaType, title });
  const base = await requireBase(viewer, db, given.knowledgeBaseId, 'change', ['input', 'knowledgeBaseId']);
  const { tenantId } = viewer;
  const id = randomUUIDv7();
  const document = {
    id,
    title,
    url,
    mediaType: source?.mediaType ?? mediaType ?? unknownMediaType,
    metadata: toJson(given.metadata ?? {}),
    data: source?.data ?? null,
  };
  await db.$transaction(async (tx) => {
    await insertDocuments(tx, knowledge, base, [document]);
    if (source !== null)
      await assertSourceRoom(tx, bounds, { tenantId, knowledgeBaseId: base.id }, text === null ? 'file' : 'text');
  });
  changes.wake(base.id);
  return assertStillThere(
    await db.knowledgeDocument.findUnique({ where: { id, tenantId }, ...query }),
    'knowledge document',
  );
}

/**
 * Changes a document. Unless only its metadata changes, it is indexed again, and found by its old chunks until then.
 * @param id the public id
 * @param input UpdateKnowledgeDocumentInput
 * @throws as addDocument does
 */
export async function updateDocument(
  viewer: Viewer,
  knowledge: KnowledgeRuntime,
  id: string,
  input: unknown,
  query: DocumentQuery = {},
): Promise<KnowledgeDocument> {
  const { db, jobs, changes, changeLimit, bounds } = knowledge;
  await changeLimit.take(viewer);
  const { title, text = null, file = null, mediaType, metadata } = parseInput(updateDocumentInput, input, ['input']);
  if (text !== null && file !== null) throw badInput(['input'], 'must have at most one of text and file');
  const before = await requireDocument(viewer, db, id);
  const { tenantId, knowledgeBaseId } = before;
  const source = readSource({ text, file, mediaType: mediaType ?? null, title: title ?? before.title });
  const isIndexed = source !== null || mediaType != null || (title != null && title !== before.title);
  const type = source?.mediaType ?? mediaType;
  await db.$transaction(async (tx) => {
    const [changed] = await tx.knowledgeDocument.updateManyAndReturn({
      where: { id: before.id, tenantId },
      data: {
        ...(title == null ? {} : { title }),
        ...(metadata == null ? {} : { metadata: toJson(metadata) }),
        ...(type == null ? {} : { mediaType: type }),
        ...(source === null ? {} : { size: source.data.length, url: null }),
        ...(isIndexed ? { revision: { increment: 1 }, status: 'QUEUED', progress: 0, error: null } : {}),
      },
      select: { revision: true },
    });
    const { revision } = assertStillThere(changed, 'knowledge document');
    if (!isIndexed) return;
    const key = { tenantId, knowledgeBaseId, documentId: before.id };
    // Sources of earlier revisions have no other use.
    if (source === null) await tx.knowledgeSourcePart.updateMany({ where: key, data: { revision } });
    else {
      await tx.knowledgeSourcePart.deleteMany({ where: key });
      await writeSource(tx, { ...key, revision }, source.data);
    }
    await jobs.enqueue(tx, indexDocumentJob, { tenantId, documentId: before.id, revision }, { group: tenantId });
    if (source !== null) await assertSourceRoom(tx, bounds, key, text === null ? 'file' : 'text');
  });
  changes.wake(knowledgeBaseId);
  return assertStillThere(
    await db.knowledgeDocument.findUnique({ where: { id: before.id, tenantId }, ...query }),
    'knowledge document',
  );
}

/**
 * Deletes a document with its source, all its chunks, and the words that no other document of the base has. Nothing is written of
 * it from the beginning on; if the server stops in between, it is FAILED, and the same call goes on.
 * @returns the public id
 * @throws {RateLimitedError}; {@link BadUserInputError}; {@link NotFoundError}; {@link ForbiddenError}; {@link ConflictError}
 *   if its project is archived, or it is being changed all the time
 */
export async function deleteDocument(viewer: Viewer, knowledge: KnowledgeRuntime, id: string): Promise<string> {
  const { db, changes, changeLimit } = knowledge;
  await changeLimit.take(viewer);
  const document = await requireDocument(viewer, db, id);
  const { tenantId, knowledgeBaseId } = document;
  for (let attempt = 0; attempt < maxDeleteAttempts; attempt += 1) {
    const [stopped] = await db.$queryRaw<{ readonly attempt: number }[]>`
      UPDATE knowledge_documents SET status = 'FAILED', error = ${beingDeleted}, attempt = attempt + 1
      WHERE tenant_id = ${tenantId} AND id = ${document.id}::uuid RETURNING attempt`;
    if (stopped !== undefined) {
      await deleteWordsOf(db, { tenantId, knowledgeBaseId, id: document.id, language: document.base.language });
      const where = { id: document.id, tenantId, attempt: stopped.attempt };
      if ((await db.knowledgeDocument.deleteMany({ where })).count === 0) continue;
    }
    changes.wake(knowledgeBaseId);
    return id;
  }
  throw new ConflictError('The document is being indexed again all the time. Try again.');
}

async function requireDocument(viewer: Viewer, db: Db, id: string) {
  const row = parseId('KnowledgeDocument', id, ['id']);
  const document = await db.knowledgeDocument.findFirst({
    where: { id: row, tenantId: viewer.tenantId, base: readableBases(viewer) },
    select: {
      id: true,
      tenantId: true,
      knowledgeBaseId: true,
      title: true,
      base: { select: { projectId: true, language: true } },
    },
  });
  if (document === null) throw await explainMissingDocument(viewer, db, row);
  await assertMayChange(viewer, db, document.base);
  return document;
}

function readSource(given: {
  readonly text: string | null;
  readonly file: UploadedFile | null;
  readonly mediaType: string | null;
  readonly title: string;
}): Source | null {
  const { text, file, mediaType, title } = given;
  if (text !== null) return { data: Buffer.from(text), mediaType: mediaType ?? 'text/markdown' };
  if (file === null) return null;
  return { data: file.data, mediaType: mediaType ?? guessMediaType(file.data, title) };
}

/** Only what a browser would open: the guard knows addresses of sockets as well. */
function explainUrl(url: string): string | null {
  return /^https?:$/.test(URL.parse(url)?.protocol ?? '') ? null : 'must be a URL of http or https';
}

function toJson(value: unknown): Prisma.InputJsonObject {
  return JSON.parse(JSON.stringify(value));
}
