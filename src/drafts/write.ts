import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
import { parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import { isUniqueViolation } from '../database/errors.ts';
import { type Draft, Prisma } from '../generated/prisma/client.ts';
import { saveDraftInput } from './input.ts';
import { type DraftQuery, findDraft, readDraftById } from './read.ts';
import { type DraftScope, findScope, inScope } from './scope.ts';

/** Versions of a draft that are stored, and their bytes: the oldest go first, the current one stays. */
const maxVersions = 50;
const maxVersionBytes = 1_000_000;
/** Drafts of one conversation, of one project, and of one user alone. */
const maxDrafts = 1_000;
/** How often a draft is looked for that is created or deleted by somebody else meanwhile. */
const maxAttempts = 3;

/** What is saved. */
export interface DraftContent {
  readonly key: string;
  /** Null: it stays; a new draft has its key as its title. */
  readonly title: string | null;
  /** JSON. */
  readonly content: unknown;
  /** The version that the draft has; 0: it does not exist; null: whatever there is. */
  readonly expectedVersion: number | null;
  /** Names the tool call that saves, in all attempts of it; null: none. */
  readonly callKey: string | null;
}

/**
 * Saves a draft: creates it, or stores its next version.
 * @param rawInput SaveDraftInput
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} and {@link ForbiddenError} for the conversation and the
 *   project; {@link ConflictError} if the draft does not have the expected version, the project is archived, or there are
 *   too many drafts
 */
export async function saveDraft(
  viewer: Viewer,
  db: Database,
  rawInput: unknown,
  query: DraftQuery = {},
): Promise<Draft> {
  const { conversationId, projectId, title, expectedVersion, ...input } = parseInput(saveDraftInput, rawInput, [
    'input',
  ]);
  const scope = await findScope(viewer, db, { conversationId, projectId }, 'EDITOR', ['input']);
  const content = { ...input, title: title ?? null, expectedVersion: expectedVersion ?? null, callKey: null };
  return saveInScope(viewer, db, scope, content, query);
}

/**
 * As {@link saveDraft}, in a scope in which the viewer may write. A tool call that has saved before saves nothing more.
 * @returns the draft as it was saved: what others save right after it is not in it
 * @throws {ConflictError}
 */
export async function saveInScope(
  viewer: Viewer,
  db: Database,
  scope: DraftScope,
  content: DraftContent,
  query: DraftQuery = {},
): Promise<Draft> {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    try {
      const draft = await db.$transaction(async (transaction) => {
        const found = await findDraft(viewer, transaction, scope, content.key);
        const id =
          found === null
            ? await create(viewer, transaction, scope, content)
            : await change(viewer, transaction, found, content);
        const where = { id: id ?? '', tenantId: viewer.tenantId };
        return id === null ? null : await transaction.draft.findUnique({ where, ...query });
      });
      if (draft !== null) return draft;
    } catch (error) {
      // Somebody else has created it meanwhile.
      if (!isUniqueViolation(error)) throw error;
    }
  }
  throw new ConflictError(`The draft ${JSON.stringify(content.key)} is being saved by others. Try again.`);
}

async function create(viewer: Viewer, db: Db, scope: DraftScope, draft: DraftContent): Promise<string> {
  if ((draft.expectedVersion ?? 0) > 0) throw outdated(draft, 'it does not exist');
  const [counted] = await db.$queryRaw<{ readonly count: number }[]>`
    SELECT count(*)::integer AS count FROM (SELECT 1 FROM drafts WHERE ${inScope(viewer, scope)} LIMIT ${maxDrafts}) AS d`;
  if ((counted?.count ?? 0) >= maxDrafts)
    throw new ConflictError(`There are ${maxDrafts.toLocaleString('en-US')} drafts already: delete some first.`);
  const { tenantId } = viewer;
  const userId = scope.projectId === null ? viewer.userId : null;
  const content = JSON.stringify(draft.content);
  const id = randomUUIDv7();
  await db.$executeRaw`
      WITH draft AS (
        INSERT INTO drafts (id, tenant_id, user_id, conversation_id, project_id, key, title, content)
        VALUES (${id}::uuid, ${tenantId}, ${userId}, ${scope.conversationId}::uuid, ${scope.projectId}::uuid, ${draft.key},
          ${draft.title ?? draft.key}, ${content}::jsonb)
        RETURNING id
      )
      INSERT INTO draft_versions (tenant_id, draft_id, version, content, bytes, call_key)
      SELECT ${tenantId}, id, 1, ${content}::jsonb, ${Buffer.byteLength(content)}, ${draft.callKey} FROM draft`;
  return id;
}

/** @returns null: it was deleted meanwhile */
async function change(viewer: Viewer, db: Db, id: string, draft: DraftContent): Promise<string | null> {
  const { tenantId } = viewer;
  if (draft.callKey !== null && (await wasSavedBy(viewer, db, id, draft.callKey))) return id;
  const content = JSON.stringify(draft.content);
  const expected = draft.expectedVersion;
  const changed = await db.$executeRaw`
    WITH draft AS (
      UPDATE drafts SET version = version + 1, content = ${content}::jsonb, updated_at = now(),
        title = coalesce(${draft.title}, title)
      WHERE id = ${id}::uuid AND tenant_id = ${tenantId} AND ${expected === null ? Prisma.sql`true` : Prisma.sql`version = ${expected}`}
      RETURNING id, version
    ), old AS (
      DELETE FROM draft_versions USING draft, (
        SELECT version, sum(bytes) OVER (ORDER BY version DESC) AS newer FROM draft_versions
        WHERE tenant_id = ${tenantId} AND draft_id = ${id}::uuid
      ) AS sized
      WHERE draft_versions.tenant_id = ${tenantId} AND draft_versions.draft_id = draft.id
        AND draft_versions.version = sized.version
        AND (sized.version <= draft.version - ${maxVersions} OR sized.newer > ${maxVersionBytes - Buffer.byteLength(content)})
    )
    INSERT INTO draft_versions (tenant_id, draft_id, version, content, bytes, call_key)
    SELECT ${tenantId}, id, version, ${content}::jsonb, ${Buffer.byteLength(content)}, ${draft.callKey} FROM draft`;
  if (changed > 0) return id;
  const now = await db.draft.findUnique({ where: { id, tenantId }, select: { version: true } });
  if (now === null) return null;
  throw outdated(draft, expected === 0 ? 'it exists' : `it has version ${now.version}`);
}

async function wasSavedBy({ tenantId }: Viewer, db: Db, draftId: string, callKey: string): Promise<boolean> {
  const where = { tenantId, draftId, callKey };
  return (await db.draftVersion.findFirst({ where, select: { version: true } })) !== null;
}

function outdated({ key, expectedVersion }: DraftContent, but: string): ConflictError {
  const expected = expectedVersion === 0 ? 'not to exist' : `to have version ${expectedVersion}`;
  return new ConflictError(`The draft ${JSON.stringify(key)} was expected ${expected}, and ${but}. Read it again.`);
}

/**
 * Deletes a draft with all of its versions.
 * @param id the public id
 * @returns the public id
 * @throws {BadUserInputError} {@link NotFoundError} {@link ForbiddenError}; {@link ConflictError} if its project is archived
 */
export async function deleteDraft(viewer: Viewer, db: Db, id: string): Promise<string> {
  const row = parseId('Draft', id, ['id']);
  await readDraftById(viewer, db, row, 'EDITOR');
  await db.draft.deleteMany({ where: { id: row, tenantId: viewer.tenantId } });
  return id;
}
