import { ConflictError, NotFoundError, RateLimitedError } from '../api/errors.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { Export } from '../generated/prisma/client.ts';

/** The size of a row of a file, in bytes. */
const pieceBytes = 256 * 1024;
/** The largest file, in bytes. */
const maxBytes = 200_000_000;
/** Files of one user that have not expired. */
const maxStored = 20;
/** The time after which an unfinished file counts as abandoned, in milliseconds. */
const unfinishedMs = 600_000;

const exportId = /^exp_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/;

/** Where files are: the path of one is this and its id. */
export const exportPath = '/exports/';

/** The public id of a file. */
export function formatExportId(row: string): string {
  return `exp_${row}`;
}

/** What becomes a file. */
export interface ExportContent {
  readonly mediaType: string;
  /** The row id of the contact whose data it is: the file is deleted with it. Null: of something else. */
  readonly contactId: string | null;
  /** The text, in parts of any size; each is in memory by itself. */
  readonly parts: AsyncIterable<string>;
}

/**
 * Stores a file for the viewer, in pieces as its text is made. No transaction is open meanwhile: nobody knows the id before
 * the file is finished, and an unfinished one is deleted, here or with the expired ones.
 * @param ttlMs how long it can be fetched after it is finished, in milliseconds
 * @throws {RateLimitedError} if the viewer has too many files; {@link ConflictError} if the file becomes too large
 */
export async function storeExport(
  viewer: Viewer,
  db: Database,
  ttlMs: number,
  { mediaType, contactId, parts }: ExportContent,
): Promise<Export> {
  const { tenantId, userId } = viewer;
  const expiresAt = new Date(Date.now() + unfinishedMs);
  const { id } = await db.export.create({ data: { tenantId, userId, contactId, mediaType, size: 0, expiresAt } });
  try {
    await assertBelowLimit(viewer, db);
    let size = 0;
    let position = 0;
    for await (const data of cutIntoPieces(parts)) {
      size += data.length;
      if (size > maxBytes)
        throw new ConflictError(`There is too much to export: a file has at most ${maxBytes / 1_000_000} MB.`);
      await db.exportPiece.createMany({ data: [{ exportId: id, position, data }] });
      position += 1;
    }
    return await db.export.update({ where: { id }, data: { size, expiresAt: new Date(Date.now() + ttlMs) } });
  } catch (error) {
    await db.export.deleteMany({ where: { id } }).catch(() => {});
    throw error;
  }
}

async function assertBelowLimit({ tenantId, userId }: Viewer, db: Database): Promise<void> {
  const now = new Date();
  const stored = await db.export.aggregate({
    where: { tenantId, userId, expiresAt: { gt: now } },
    _count: true,
    _min: { expiresAt: true },
  });
  if (stored._count <= maxStored) return;
  const retryAfterMs = Math.max(1_000, (stored._min.expiresAt ?? now).getTime() - now.getTime());
  throw new RateLimitedError(`You have ${maxStored} exports that have not expired: at most so many.`, retryAfterMs);
}

async function* cutIntoPieces(parts: AsyncIterable<string>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const piece = new Uint8Array(pieceBytes);
  let filled = 0;
  for await (const part of parts) {
    const bytes = Buffer.from(part);
    for (let at = 0; at < bytes.length; ) {
      const taken = bytes.subarray(at, at + pieceBytes - filled);
      piece.set(taken, filled);
      filled += taken.length;
      at += taken.length;
      if (filled === pieceBytes) {
        yield piece.slice();
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.slice(0, filled);
}

/**
 * Reads a file of the viewer, without its content.
 * @param id the public id, `exp_<uuid>`
 * @throws {NotFoundError} if it does not exist or has expired; {@link ForbiddenError} if it is another user's
 */
export async function readExport(viewer: Viewer, db: Database, id: string): Promise<Export> {
  const [, row] = exportId.exec(id) ?? [];
  const file = row === undefined ? null : await db.export.findUnique({ where: { id: row } });
  if (file === null || file.tenantId !== viewer.tenantId || file.userId !== viewer.userId) {
    throw notFoundOrForbidden(viewer, row === undefined ? 'such export' : `export ${id}`, file);
  }
  if (file.expiresAt <= new Date()) throw new NotFoundError('This export has expired.');
  return file;
}

/**
 * Reads the content of a file piece by piece, as fast as its reader takes it.
 * @param from the first byte
 * @param to the last byte, inclusive
 * @throws {NotFoundError} if the file is deleted meanwhile
 */
export async function* readExportBytes(db: Database, id: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  const last = Math.floor(to / pieceBytes);
  for (let position = Math.floor(from / pieceBytes); position <= last; position += 1) {
    const begin = position * pieceBytes;
    const piece = await db.exportPiece.findUnique({ where: { exportId_position: { exportId: id, position } } });
    if (piece === null) throw new NotFoundError('This export has expired.');
    yield piece.data.subarray(Math.max(0, from - begin), to - begin + 1);
  }
}
