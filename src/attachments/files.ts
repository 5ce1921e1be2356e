import { NotFoundError, UnavailableError } from '../api/errors.ts';
import { formatId, readId } from '../api/ids.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { ObjectStore } from './object-store.ts';

/** The size of a row of a file, in bytes. */
export const pieceBytes = 256 * 1024;

/** Where uploads are: the path of one is this and its id. */
export const attachmentPath = '/attachments/';

/** The path of an upload on this server. @param id the public id */
export function pathOfAttachment(id: string): string {
  return attachmentPath + id;
}

/** An upload as it is fetched. */
export interface AttachmentFile {
  readonly id: string;
  /** The name to show to people. */
  readonly name: string;
  readonly mediaType: string;
  readonly size: number;
  /** The name of its object in the store of files. Null: it is in the database. */
  readonly objectKey: string | null;
}

/** An upload as its content is read whole. */
export type StoredContent = Pick<AttachmentFile, 'id' | 'size' | 'objectKey'>;

/** Where the contents of uploads are. */
export interface AttachmentFiles {
  readonly db: Database;
  /** The store for new files, and for those that are there. Null: there is none, the database holds the files. */
  readonly store: ObjectStore | null;
}

/**
 * Reads an upload of the viewer, without its content.
 * @param id the public id, `att_<uuid>`
 * @throws {NotFoundError} if it does not exist or has expired; {@link ForbiddenError} if it is another user's
 */
export async function readAttachmentFile(viewer: Viewer, db: Database, id: string): Promise<AttachmentFile> {
  const row = readId('Attachment', id);
  const select = {
    ...{ id: true, tenantId: true, userId: true },
    ...{ name: true, mediaType: true, size: true, objectKey: true, expiresAt: true },
  } as const;
  const file = row === null ? null : await db.attachment.findUnique({ where: { id: row }, select });
  if (file === null || file.tenantId !== viewer.tenantId || file.userId !== viewer.userId)
    throw notFoundOrForbidden(
      viewer,
      row === null ? 'such attachment' : `attachment ${formatId('Attachment', row)}`,
      file,
    );
  if (file.expiresAt !== null && file.expiresAt <= new Date()) throw new NotFoundError('This attachment has expired.');
  return file;
}

/**
 * Reads the content of an upload piece by piece, as fast as its reader takes it.
 * @param from the first byte
 * @param to the last byte, inclusive
 * @throws {NotFoundError} if it is deleted meanwhile; {@link UnavailableError} if it is in a store that does not work, or was taken
 *   out of the configuration
 */
export async function* readAttachmentBytes(
  { db, store }: AttachmentFiles,
  { id, objectKey }: Pick<AttachmentFile, 'id' | 'objectKey'>,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array> {
  if (objectKey !== null) {
    if (store === null)
      throw new UnavailableError('This attachment is in a store of files that is not configured (STORAGE_URL).');
    yield* store.read(objectKey, from, to);
    return;
  }
  const last = Math.floor(to / pieceBytes);
  for (let position = Math.floor(from / pieceBytes); position <= last; position += 1) {
    const begin = position * pieceBytes;
    const where = { attachmentId_position: { attachmentId: id, position } };
    const piece = await db.attachmentPiece.findUnique({ where });
    if (piece === null) throw new NotFoundError('This attachment was deleted.');
    yield piece.data.subarray(Math.max(0, from - begin), to - begin + 1);
  }
}

/** Reads the content of an upload whole. @throws as {@link readAttachmentBytes} does */
export async function readWholeAttachment(files: AttachmentFiles, file: StoredContent): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of readAttachmentBytes(files, file, 0, file.size - 1)) pieces.push(piece);
  return Buffer.concat(pieces);
}
