import { NotFoundError } from '../api/errors.ts';
import { formatId, readId } from '../api/ids.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';

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
  readonly mediaType: string;
  readonly size: number;
}

/**
 * Reads an upload of the viewer, without its content.
 * @param id the public id, `att_<uuid>`
 * @throws {NotFoundError} if it does not exist or has expired; {@link ForbiddenError} if it is another user's
 */
export async function readAttachmentFile(viewer: Viewer, db: Database, id: string): Promise<AttachmentFile> {
  const row = readId('Attachment', id);
  const select = { id: true, tenantId: true, userId: true, mediaType: true, size: true, expiresAt: true } as const;
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
 * @throws {NotFoundError} if it is deleted meanwhile
 */
export async function* readAttachmentBytes(
  db: Database,
  id: string,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array> {
  const last = Math.floor(to / pieceBytes);
  for (let position = Math.floor(from / pieceBytes); position <= last; position += 1) {
    const begin = position * pieceBytes;
    const where = { attachmentId_position: { attachmentId: id, position } };
    const piece = await db.attachmentPiece.findUnique({ where });
    if (piece === null) throw new NotFoundError('This attachment was deleted.');
    yield piece.data.subarray(Math.max(0, from - begin), to - begin + 1);
  }
}
