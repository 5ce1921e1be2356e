import { NotFoundError, RateLimitedError } from '../api/errors.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { SpeechClip } from '../generated/prisma/client.ts';

/** How much of a clip one row holds. */
export const pieceBytes = 256 * 1024;
/** How much one user may keep, of what has not expired. */
const maxKept = { clips: 200, bytes: 500_000_000 } as const;
/** How long a clip that is still being written is left alone. */
const unfinishedMs = 600_000;
const sweepBatch = 20;

const clipId = /^clip_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/;

/** The public id of a clip. */
export function formatClipId(row: string): string {
  return `clip_${row}`;
}

/** Sound as it comes. */
export interface Sound {
  readonly mediaType: string;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Makes a clip: sees that there is room for it, has it spoken, and writes it as it comes, in pieces. No transaction is
 * open meanwhile: nobody knows the id before it is finished, and what breaks off is deleted, here or with the expired.
 * @param maxBytes the largest that it can become: it counts as that until it is finished
 * @param ttlMs how long it can be fetched from when it is finished, in milliseconds
 * @param speak called once there is room, with what writes the sound down
 * @throws {RateLimitedError} when the viewer keeps too much, with the milliseconds until the first of it expires
 */
export async function makeClip(
  viewer: Viewer,
  db: Database,
  { maxBytes, ttlMs }: { readonly maxBytes: number; readonly ttlMs: number },
  speak: (write: (sound: Sound) => Promise<SpeechClip>) => Promise<SpeechClip>,
): Promise<SpeechClip> {
  const { tenantId, userId } = viewer;
  const expiresAt = new Date(Date.now() + unfinishedMs);
  const { id } = await db.speechClip.create({ data: { tenantId, userId, mediaType: '', size: maxBytes, expiresAt } });
  try {
    // Counted with this one in it: of two at once, at least the later sees both.
    await assertRoom(viewer, db);
    return await speak(async ({ mediaType, chunks }) => {
      const size = await writePieces(db, id, chunks);
      const data = { mediaType, size, expiresAt: new Date(Date.now() + ttlMs) };
      return await db.speechClip.update({ where: { id }, data });
    });
  } catch (error) {
    await db.speechClip.deleteMany({ where: { id } }).catch(() => {});
    throw error;
  }
}

async function assertRoom({ tenantId, userId }: Viewer, db: Database): Promise<void> {
  const now = new Date();
  const kept = await db.speechClip.aggregate({
    where: { tenantId, userId, expiresAt: { gt: now } },
    _count: true,
    _sum: { size: true },
    _min: { expiresAt: true },
  });
  if (kept._count <= maxKept.clips && (kept._sum.size ?? 0) <= maxKept.bytes) return;
  const retryAfterMs = Math.max(1_000, (kept._min.expiresAt ?? now).getTime() - now.getTime());
  const megabytes = maxKept.bytes / 1_000_000;
  throw new RateLimitedError(
    `Too much speech is kept for you: at most ${maxKept.clips} clips and ${megabytes} MB that have not expired.`,
    retryAfterMs,
  );
}

/** @returns how many bytes there were */
async function writePieces(db: Database, clipId: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let position = 0;
  let size = 0;
  for await (const data of cutIntoPieces(chunks)) {
    await db.speechChunk.createMany({ data: [{ clipId, position, data }] });
    position += 1;
    size += data.length;
  }
  return size;
}

async function* cutIntoPieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const piece = new Uint8Array(pieceBytes);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + pieceBytes - filled);
      piece.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === pieceBytes) {
        yield piece.slice();
        filled = 0;
      }
    }
  }
  if (filled > 0) yield piece.slice(0, filled);
}

/**
 * A clip of the viewer's, without its sound.
 * @param id the public id, `clip_<uuid>`
 * @throws {NotFoundError} when there is none, or it has expired
 * @throws {ForbiddenError} when it is somebody else's
 */
export async function readClip(viewer: Viewer, db: Database, id: string): Promise<SpeechClip> {
  const [, row] = clipId.exec(id) ?? [];
  const clip = row === undefined ? null : await db.speechClip.findUnique({ where: { id: row } });
  if (clip === null || clip.tenantId !== viewer.tenantId || clip.userId !== viewer.userId) {
    throw notFoundOrForbidden(viewer, row === undefined ? 'clip of this name' : `clip ${id}`, clip);
  }
  if (clip.expiresAt <= new Date()) throw new NotFoundError('This clip has expired.');
  return clip;
}

/**
 * The sound of a clip, piece by piece, as its reader takes it.
 * @param from the first byte
 * @param to the last byte, included
 */
export async function* readClipBytes(
  db: Database,
  { id }: SpeechClip,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array> {
  const last = Math.floor(to / pieceBytes);
  for (let position = Math.floor(from / pieceBytes); position <= last; position += 1) {
    const begin = position * pieceBytes;
    const piece = await db.speechChunk.findUnique({ where: { clipId_position: { clipId: id, position } } });
    // It expired while it was read.
    if (piece === null) throw new NotFoundError('This clip has expired.');
    yield piece.data.subarray(Math.max(0, from - begin), to - begin + 1);
  }
}

/** Deletes the clips that have expired, some at a time. @returns how many there were */
export async function deleteExpiredClips(db: Database, now: Date): Promise<number> {
  let deleted = 0;
  for (;;) {
    const expired = await db.speechClip.findMany({
      where: { expiresAt: { lt: now } },
      select: { id: true },
      orderBy: { expiresAt: 'asc' },
      take: sweepBatch,
    });
    if (expired.length === 0) return deleted;
    const { count } = await db.speechClip.deleteMany({ where: { id: { in: expired.map(({ id }) => id) } } });
    deleted += count;
    // Another instance is at it.
    if (count === 0) return deleted;
  }
}
