import { NotFoundError, RateLimitedError } from '../api/errors.ts';
import { notFoundOrForbidden } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { SpeechClip } from '../generated/prisma/client.ts';

/** The size of a row of a clip, in bytes. */
export const pieceBytes = 256 * 1024;
/** The maximum that one user may have stored, of clips that have not expired. */
const maxStored = { clips: 200, bytes: 500_000_000 } as const;
/** The time after which an unfinished clip counts as abandoned, in milliseconds. */
const unfinishedMs = 600_000;
const sweepBatch = 20;

const clipId = /^clip_([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/;

/** The public id of a clip. */
export function formatClipId(row: string): string {
  return `clip_${row}`;
}

/** Audio that is being received. */
export interface Audio {
  readonly mediaType: string;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** After the end of the chunks: what the beginning is to be replaced with; null: it is right. */
  readonly readHead: () => Uint8Array | null;
}

/**
 * Creates a clip: checks that the viewer may store it, has it spoken, and writes it in pieces as it is received. No
 * transaction is open meanwhile: nobody knows the id before it is finished, and an unfinished clip is deleted, here or
 * with the expired ones.
 * @param maxBytes the maximum size of the clip, as which it counts until it is finished
 * @param ttlMs how long it can be fetched after it is finished, in milliseconds
 * @param speak called once the viewer may store it, with the function that writes the audio
 * @throws {RateLimitedError} if the viewer has stored too much, with the milliseconds until the first clip expires
 */
export async function createClip(
  viewer: Viewer,
  db: Database,
  { maxBytes, ttlMs }: { readonly maxBytes: number; readonly ttlMs: number },
  speak: (write: (audio: Audio) => Promise<SpeechClip>) => Promise<SpeechClip>,
): Promise<SpeechClip> {
  const { tenantId, userId } = viewer;
  const expiresAt = new Date(Date.now() + unfinishedMs);
  const { id } = await db.speechClip.create({ data: { tenantId, userId, mediaType: '', size: maxBytes, expiresAt } });
  try {
    // Counted with this one: of two concurrent calls, at least the later one sees both.
    await assertBelowLimit(viewer, db);
    return await speak(async ({ mediaType, chunks, readHead }) => {
      const size = await writePieces(db, id, chunks);
      const head = readHead();
      if (head !== null) await replaceHead(db, id, head);
      const data = { mediaType, size, expiresAt: new Date(Date.now() + ttlMs) };
      return await db.speechClip.update({ where: { id }, data });
    });
  } catch (error) {
    await db.speechClip.deleteMany({ where: { id } }).catch(() => {});
    throw error;
  }
}

async function assertBelowLimit({ tenantId, userId }: Viewer, db: Database): Promise<void> {
  const now = new Date();
  const stored = await db.speechClip.aggregate({
    where: { tenantId, userId, expiresAt: { gt: now } },
    _count: true,
    _sum: { size: true },
    _min: { expiresAt: true },
  });
  if (stored._count <= maxStored.clips && (stored._sum.size ?? 0) <= maxStored.bytes) return;
  const retryAfterMs = Math.max(1_000, (stored._min.expiresAt ?? now).getTime() - now.getTime());
  const megabytes = maxStored.bytes / 1_000_000;
  throw new RateLimitedError(
    `You have stored too much speech: at most ${maxStored.clips} clips and ${megabytes} MB that have not expired.`,
    retryAfterMs,
  );
}

/** @returns the number of bytes */
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

/** Replaces the beginning of a clip; it is shorter than a piece. */
async function replaceHead(db: Database, clipId: string, head: Uint8Array): Promise<void> {
  const where = { clipId_position: { clipId, position: 0 } };
  const { data } = await db.speechChunk.findUniqueOrThrow({ where });
  const replaced = new Uint8Array(data);
  replaced.set(head);
  await db.speechChunk.update({ where, data: { data: replaced } });
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
 * Reads a clip of the viewer, without its audio.
 * @param id the public id, `clip_<uuid>`
 * @throws {NotFoundError} if it does not exist or has expired
 * @throws {ForbiddenError} if it is another user's
 */
export async function readClip(viewer: Viewer, db: Database, id: string): Promise<SpeechClip> {
  const [, row] = clipId.exec(id) ?? [];
  const clip = row === undefined ? null : await db.speechClip.findUnique({ where: { id: row } });
  if (clip === null || clip.tenantId !== viewer.tenantId || clip.userId !== viewer.userId) {
    throw notFoundOrForbidden(viewer, row === undefined ? 'such clip' : `clip ${id}`, clip);
  }
  if (clip.expiresAt <= new Date()) throw new NotFoundError('This clip has expired.');
  return clip;
}

/**
 * Reads the audio of a clip piece by piece, as fast as its reader takes it.
 * @param from the first byte
 * @param to the last byte, inclusive
 * @throws {NotFoundError} if the clip expires meanwhile
 */
export async function* readClipBytes(db: Database, id: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  const last = Math.floor(to / pieceBytes);
  for (let position = Math.floor(from / pieceBytes); position <= last; position += 1) {
    const begin = position * pieceBytes;
    const piece = await db.speechChunk.findUnique({ where: { clipId_position: { clipId: id, position } } });
    if (piece === null) throw new NotFoundError('This clip has expired.');
    yield piece.data.subarray(Math.max(0, from - begin), to - begin + 1);
  }
}

/** Deletes expired clips, some at a time. @returns how many it deleted */
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
    // Another instance is deleting the same clips.
    if (count === 0) return deleted;
  }
}
