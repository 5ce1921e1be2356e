import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parse as parseRange } from 'range-parser';
import { httpStatusOf, NotFoundError, SwitchboardError, UnauthenticatedError } from '../../api/errors.ts';
import { attachmentPath, readAttachmentBytes, readAttachmentFile } from '../../attachments/files.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import { countStatementsIn, type StatementTally } from '../../database/statements.ts';
import { exportPath, readExport, readExportBytes } from '../../exports/files.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import { readClip, readClipBytes } from '../../speech/clips.ts';
import { clipPath } from '../../speech/synthesize.ts';
import { readPath } from '../requests/path.ts';
import { respondError } from '../requests/respond.ts';

/** The code of range-parser for a range that is well-formed and lies outside the content. */
const unsatisfiable = 2;
/** Longer Range headers are ignored unread, as malformed ones are. */
const maxRangeLength = 100;

/** How long a client may read nothing of a file, in milliseconds. Then the connection ends; players ask for the rest. */
const stallMs = 30_000;

/** A file that is stored for its user, without its content. */
interface StoredFile {
  readonly id: string;
  readonly mediaType: string;
  readonly size: number;
}

/** How files of one kind are read. */
interface FileKind {
  readonly path: string;
  /** Whether browsers show the content: else they store it, whatever is in it. */
  readonly isShown: boolean;
  readonly read: (viewer: Viewer, db: Database, id: string) => Promise<StoredFile>;
  readonly readBytes: (db: Database, id: string, from: number, to: number) => AsyncIterable<Uint8Array>;
}

const kinds: readonly FileKind[] = [
  { path: clipPath, isShown: true, read: readClip, readBytes: readClipBytes },
  { path: exportPath, isShown: false, read: readExport, readBytes: readExportBytes },
  { path: attachmentPath, isShown: false, read: readAttachmentFile, readBytes: readAttachmentBytes },
];

function findKind(path: string): FileKind | undefined {
  return kinds.find((kind) => path.startsWith(kind.path));
}

interface FileRoute {
  readonly db: Database;
  readonly verifyToken: VerifyToken;
  /** Each file that is being read counts against it. */
  readonly openOperations: ConcurrencyLimit;
  readonly maxStallMs?: number;
}

/** Whether a path is that of a file. */
export function isFilePath(path: string): boolean {
  return findKind(path) !== undefined;
}

/**
 * Creates the route of spoken clips, of exports and of attachments: GET and HEAD with the access token of the owner, the whole file or one
 * range (RFC 9110, section 14), which players need for seeking. A file never changes, so its id is its entity tag.
 */
export function createFileRoute(route: FileRoute) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await countStatementsIn((statements) => serveFile(request, response, route, statements));
    } catch (error) {
      if (response.headersSent || !(error instanceof SwitchboardError)) throw error;
      if (error instanceof UnauthenticatedError) response.setHeader('www-authenticate', 'Bearer');
      respondError(response, httpStatusOf[error.code], error.code, error.message);
    }
  };
}

async function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  { db, verifyToken, openOperations, maxStallMs = stallMs }: FileRoute,
  statements: StatementTally,
): Promise<void> {
  const token = readBearerToken(request.headers.authorization);
  if (token === null) throw new UnauthenticatedError();
  const viewer = await verifyToken(token);
  statements.owner = viewer;
  using _open = openOperations.enter(viewer);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return respondError(response, 405, 'BAD_USER_INPUT', 'Files are fetched with GET.');
  }
  const path = readPath(request);
  const kind = findKind(path);
  if (kind === undefined) throw new NotFoundError('There is no such file.');
  const file = await kind.read(viewer, db, path.slice(kind.path.length));
  const tag = `"${file.id}"`;
  // Players may store it, but must revalidate: permission to hear it can change.
  const headers = {
    'cache-control': kind.isShown ? 'private, no-cache' : 'private, no-store',
    vary: 'authorization, origin',
    etag: tag,
    ...(kind.isShown ? {} : { 'content-disposition': 'attachment', 'x-content-type-options': 'nosniff' }),
  };
  if (matchesTag(request.headers['if-none-match'], tag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const { 'if-range': condition, range: header } = request.headers;
  const range = condition === undefined || condition === tag ? readRange(header, file.size) : null;
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${file.size}`);
    return respondError(
      response,
      416,
      'BAD_USER_INPUT',
      `The range lies outside the file, which has ${file.size} bytes.`,
    );
  }
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  response.writeHead(range === null ? 200 : 206, {
    ...headers,
    'content-type': file.mediaType,
    'content-length': end - start + 1,
    'accept-ranges': 'bytes',
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${file.size}` }),
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  response.setTimeout(maxStallMs, () => response.destroy());
  try {
    await pipeline(Readable.from(kind.readBytes(db, file.id, start, end)), response);
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
