import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { Attachment } from '../generated/prisma/client.ts';
import { pieceBytes } from './files.ts';
import type { AttachmentContent } from './read-content.ts';
import type { AttachmentRuntime } from './runtime.ts';

/** The time after which an unfinished upload counts as abandoned, in milliseconds. */
const unfinishedMs = 600_000;
/** Uploads of one user that no message has taken. */
const maxWaiting = 100;
const maxNameLength = 255;

/** What was read at the address of a file, for models. */
export interface ReadAddress {
  /** The row id of what is stored. Null: nothing is. */
  readonly id: string | null;
  /** What models are not given of it, and why. Null: they are given all of it. */
  readonly notice: string | null;
  /** Whether the reason passes: the next run of the message reads it. */
  readonly isPassing?: boolean;
}

/** A file to store. */
interface NewFile {
  /** As the client has named it. */
  readonly name: string;
  readonly content: AttachmentContent;
  /** Null: only what models are given of it is stored, and counts. */
  readonly data: Buffer | null;
}

/**
 * Writes the rows of a file that no message has taken. No transaction is open meanwhile: nobody knows the id before it is finished.
 * @throws {ConflictError} if the user or the tenant has stored too much; {@link UnavailableError} if the store of files does not work
 */
export async function storeFile(
  { tenantId, userId }: Viewer,
  { db, bounds, store }: Pick<AttachmentRuntime, 'db' | 'bounds' | 'store'>,
  { name, content, data }: NewFile,
): Promise<Attachment> {
  const owner = { tenantId, userId };
  const expiresAt = new Date(Date.now() + unfinishedMs);
  const id = randomUUIDv7();
  const objectKey = store === null || data === null ? null : `attachments/${id}`;
  const size = data?.length ?? Buffer.byteLength(content.text ?? '') + (content.modelImage?.length ?? 0);
  // The row is there before the object: whatever happens, the object is deleted after it.
  const row = { ...owner, ...content, id, name: nameOf(name), size, expiresAt, objectKey };
  await db.attachment.create({ data: row, select: { id: true } });
  try {
    // Counted with this one: of two concurrent uploads, at least the later one sees both.
    await assertRoom(db, owner, bounds);
    if (store !== null && objectKey !== null && data !== null) await store.put(objectKey, new Uint8Array(data));
    for (let position = 0; data !== null && objectKey === null && position * pieceBytes < data.length; position += 1) {
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
function nameOf(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? '';
  const clean = last.replaceAll(/\p{C}/gu, '').trim();
  return [...clean].slice(0, maxNameLength).join('') || 'file';
}
