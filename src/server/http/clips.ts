import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parse as parseRange } from 'range-parser';
import { httpStatusOf, SwitchboardError, UnauthenticatedError } from '../../api/errors.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { Database } from '../../database/client.ts';
import { countStatementsIn, type StatementTally } from '../../database/statements.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import { readClip, readClipBytes } from '../../speech/clips.ts';
import { clipPath } from '../../speech/synthesize.ts';
import { readPath } from '../requests/path.ts';
import { respondError } from '../requests/respond.ts';

/** The code of range-parser for a range that is well-formed and lies outside the content. */
const unsatisfiable = 2;
/** Longer Range headers are ignored unread, as malformed ones are. */
const maxRangeLength = 100;

/** How long a player may read nothing of a clip, in milliseconds. Then the connection ends; players ask for the rest. */
const stallMs = 30_000;

interface ClipRoute {
  readonly db: Database;
  readonly verifyToken: VerifyToken;
  /** Each clip that is being read counts against it. */
  readonly openOperations: ConcurrencyLimit;
  readonly maxStallMs?: number;
}

/** Whether a path is that of a clip. */
export function isClipPath(path: string): boolean {
  return path.startsWith(clipPath);
}

/**
 * Creates the route of spoken clips: GET and HEAD with the access token of the owner, the whole clip or one range
 * (RFC 9110, section 14), which players need for seeking. A clip never changes, so its id is its entity tag.
 */
export function createClipRoute(route: ClipRoute) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await countStatementsIn((statements) => serveClip(request, response, route, statements));
    } catch (error) {
      if (response.headersSent || !(error instanceof SwitchboardError)) throw error;
      if (error instanceof UnauthenticatedError) response.setHeader('www-authenticate', 'Bearer');
      respondError(response, httpStatusOf[error.code], error.code, error.message);
    }
  };
}

async function serveClip(
  request: IncomingMessage,
  response: ServerResponse,
  { db, verifyToken, openOperations, maxStallMs = stallMs }: ClipRoute,
  statements: StatementTally,
): Promise<void> {
  const token = readBearerToken(request.headers.authorization);
  if (token === null) throw new UnauthenticatedError();
  const viewer = await verifyToken(token);
  statements.owner = viewer;
  using _open = openOperations.enter(viewer);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return respondError(response, 405, 'BAD_USER_INPUT', 'Clips are fetched with GET.');
  }
  const clip = await readClip(viewer, db, readPath(request).slice(clipPath.length));
  const tag = `"${clip.id}"`;
  // Players may store it, but must revalidate: permission to hear it can change.
  const headers = { 'cache-control': 'private, no-cache', vary: 'authorization, origin', etag: tag };
  if (matchesTag(request.headers['if-none-match'], tag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const { 'if-range': condition, range: header } = request.headers;
  const range = condition === undefined || condition === tag ? readRange(header, clip.size) : null;
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${clip.size}`);
    return respondError(
      response,
      416,
      'BAD_USER_INPUT',
      `The range lies outside the clip, which has ${clip.size} bytes.`,
    );
  }
  const { start, end } = range ?? { start: 0, end: clip.size - 1 };
  response.writeHead(range === null ? 200 : 206, {
    ...headers,
    'content-type': clip.mediaType,
    'content-length': end - start + 1,
    'accept-ranges': 'bytes',
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${clip.size}` }),
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  response.setTimeout(maxStallMs, () => response.destroy());
  try {
    await pipeline(Readable.from(readClipBytes(db, clip, start, end)), response);
  } catch (error) {
    // Players disconnect when they have enough.
    if (!request.socket.destroyed) throw error;
  }
}

/** Whether If-None-Match matches a tag: one, a list, weak ones, or `*` for any (RFC 9110, section 13.1.2). */
function matchesTag(header: string | undefined, tag: string): boolean {
  const tags = (header ?? '').split(',').map((entry) => entry.trim().replace(/^W\//, ''));
  return tags.includes(tag) || (tags.length === 1 && tags[0] === '*');
}

/** The range to send. Null: the whole clip, as for a malformed header, another unit, or several ranges. */
function readRange(header: string | undefined, size: number): { start: number; end: number } | 'unsatisfiable' | null {
  if (header === undefined || header.length > maxRangeLength || header.includes(',')) return null;
  const { code, type, ranges } = parseRange(size, header.trim());
  if (type !== 'bytes') return null;
  const [range] = ranges;
  if (range) return range;
  return code === unsatisfiable ? 'unsatisfiable' : null;
}
