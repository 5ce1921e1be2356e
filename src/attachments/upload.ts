import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { badInput } from '../api/input.ts';
import type { UploadedFile } from '../api/uploaded-file.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { Attachment } from '../generated/prisma/client.ts';
import { pieceBytes } from './files.ts';
import { type AttachmentContent, readContent } from './read-content.ts';
import type { AttachmentRuntime } from './runtime.ts';

/** The time after which an unfinished upload counts as abandoned, in milliseconds. */
const unfinishedMs = 600_000;
/** Uploads of one user that no message has taken. */
const maxWaiting = 100;
const maxNameLength = 255;

const path = ['file'];

/**
 * Stores a file for a message of the viewer, with what models are given of it. It is deleted after a while if no message takes it.
 * @param clientGone aborts when the client disconnects
 * @returns its row, without its content
 * @throws {RateLimitedError} if the viewer uploads too often, or too much at once
 * @throws {BadUserInputError} if it is empty, too large, not what it says, or cannot be read
 * @throws {ConflictError} if the user or the tenant has stored too much; {@link UnavailableError} if the store of files does not work
 */
export async function uploadAttachment(
  viewer: Viewer,
  runtime: AttachmentRuntime,
  file: UploadedFile,
  clientGone: AbortSignal | null,
): Promise<Attachment> {
  const { db, limit, bounds, parser } = runtime;
  await limit.take(viewer);
  if (file.data.length === 0) throw badInput(path, 'is empty');
  if (file.data.length > bounds.maxBytes) {
    const megabytes = bounds.maxBytes / 1_000_000;
    throw badInput(path, `must have at most ${megabytes} MB (ATTACHMENT_MAX_MB), and it has ${file.data.length} bytes`);
  }
  using _slot = runtime.reading.enter(viewer);
  const content = await readContent(file, parser, clientGone ?? new AbortController().signal);
  return storeFile(viewer, db, runtime, { file, content });
}

/** Writes the rows. No transaction is open meanwhile: nobody knows the id before it is finished. */
async function storeFile(
  { tenantId, userId }: Viewer,
  db: Database,
  { bounds, store }: AttachmentRuntime,
  { file, content }: { readonly file: UploadedFile; readonly content: AttachmentContent },
): Promise<Attachment> {
  const owner = { tenantId, userId };
  const { data } = file;
  const expiresAt = new Date(Date.now() + unfinishedMs);
  const id = randomUUIDv7();
  const objectKey = store === null ? null : `attachments/${id}`;
  // The row is there before the object: whatever happens, the object is deleted after it.
  const row = { ...owner, ...content, id, name: nameOf(file), size: data.length, expiresAt, objectKey };
  await db.attachment.create({ data: row, select: { id: true } });
  try {
    // Counted with this one: of two concurrent uploads, at least the later one sees both.
    await assertRoom(db, owner, bounds);
    if (store !== null && objectKey !== null) await store.put(objectKey, new Uint8Array(data));
    for (let position = 0; objectKey === null && position * pieceBytes < data.length; position += 1) {
      const piece = new Uint8Array(data.subarray(position * pieceBytes, (position + 1) * pieceBytes));
      await db.attachmentPiece.createMany({ data: [{ attachmentId: id, position, data: piece }] });
    }
    return await db.attachment.update({
      where: { id, ...owner },
      data: { expiresAt: new Date(Date.now() + bounds.ttlMs) },
    });
  } catch (error) {
    await db.attachment.deleteMany({ where: { id, ...owner } }).catch(() => {});
    throw error;
  }
}

/** The database counts the bytes (triggers of the migration `room_of_attachments`): nothing is added up here. */
async function assertRoom(
  db: Database,
  { tenantId, userId }: Pick<Viewer, 'tenantId' | 'userId'>,
  { userBytes, tenantBytes }: AttachmentRuntime['bounds'],
): Promise<void> {
  const [stored] = await db.$queryRaw<{ waiting: number; ofUser: number; ofTenant: number }[]>`
    SELECT
      (SELECT count(*) FROM (
        SELECT FROM attachments WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND conversation_id IS NULL
        LIMIT ${maxWaiting + 1}
      ) AS waiting)::int AS waiting,
      coalesce((SELECT bytes FROM attachment_user_bytes WHERE tenant_id = ${tenantId} AND user_id = ${userId}), 0)::float8 AS "ofUser",
      coalesce((SELECT bytes FROM attachment_tenant_bytes WHERE tenant_id = ${tenantId}), 0)::float8 AS "ofTenant"`;
  if (stored === undefined) return;
  if (stored.waiting > maxWaiting)
    throw new ConflictError(`You have ${maxWaiting} uploads that belong to no message: at most so many.`);
  const full = (whose: string, bytes: number, variable: string) =>
    new ConflictError(
      `The attachments of ${whose} have ${bytes / 1_000_000} MB: at most so many (${variable}). Delete conversations with attachments.`,
    );
  if (stored.ofUser > userBytes) throw full('the user', userBytes, 'ATTACHMENT_USER_MB');
  if (stored.ofTenant > tenantBytes) throw full('the tenant', tenantBytes, 'ATTACHMENT_TENANT_MB');
}

/** The name to show: without folders and without characters that nobody sees. */
function nameOf({ name }: UploadedFile): string {
  const last = name.split(/[/\\]/).at(-1) ?? '';
  const clean = last.replaceAll(/\p{C}/gu, '').trim();
  return [...clean].slice(0, maxNameLength).join('') || 'file';
}
