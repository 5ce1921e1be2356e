import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parse as parseRange } from 'range-parser';
import { httpStatusOf, NotFoundError, SwitchboardError, UnauthenticatedError } from '../../api/errors.ts';
import {
  type AttachmentFile,
  type AttachmentFiles,
  attachmentPath,
  readAttachmentBytes,
  readAttachmentFile,
} from '../../attachments/files.ts';
import { accessParameter, readSignedFile } from '../../attachments/signed-address.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import { countStatementsIn, type StatementTally } from '../../database/statements.ts';
import { exportPath, readExport, readExportBytes } from '../../exports/files.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import { readClip, readClipBytes } from '../../speech/clips.ts';
import { clipPath } from '../../speech/synthesize.ts';
import { readParameter, readPath } from '../requests/path.ts';
import { respondError } from '../requests/respond.ts';

/** The code of range-parser for a range that is well-formed and lies outside the content. */
const unsatisfiable = 2;
/** Longer Range headers are ignored unread, as malformed ones are. */
const maxRangeLength = 100;

/** How long a client may read nothing of a file, in milliseconds. Then the connection ends; players ask for the rest. */
const stallMs = 30_000;

/** How long browsers may show a file of a signed address without asking again, in seconds: it may be deleted meanwhile. */
const signedAgeSeconds = 300;
/** What browsers show of signed addresses: formats without scripts. */
const shownInline = /^(image\/(png|jpeg|webp|gif)|audio\/[\w.+-]+)$/;

/** A file that is stored for its user, without its content. */
interface StoredFile {
  readonly id: string;
  readonly mediaType: string;
  readonly size: number;
  /** The name of its object in the store of files; absent or null: it is in the database. */
  readonly objectKey?: string | null;
}

/** How files of one kind are read. */
interface FileKind {
  readonly path: string;
  /** Whether browsers show the content: else they store it, whatever is in it. */
  readonly isShown: boolean;
  readonly read: (viewer: Viewer, db: Database, id: string) => Promise<StoredFile>;
  readonly readBytes: (files: AttachmentFiles, file: StoredFile, from: number, to: number) => AsyncIterable<Uint8Array>;
}

const kinds: readonly FileKind[] = [
  {
    path: clipPath,
    isShown: true,
    read: readClip,
    readBytes: ({ db }, { id }, from, to) => readClipBytes(db, id, from, to),
  },
  {
    path: exportPath,
    isShown: false,
    read: readExport,
    readBytes: ({ db }, { id }, from, to) => readExportBytes(db, id, from, to),
  },
  {
    path: attachmentPath,
    isShown: false,
    read: readAttachmentFile,
    readBytes: (files, { id, objectKey = null }, from, to) => readAttachmentBytes(files, { id, objectKey }, from, to),
  },
];

function findKind(path: string): FileKind | undefined {
  return kinds.find((kind) => path.startsWith(kind.path));
}

/** How often files are read by signed addresses at the same time. */
interface SignedReadLimits {
  /** One file: the user is its id. */
  readonly ofFile: ConcurrencyLimit;
  /** All files of an owner: nobody's files keep those of the tenant's others from being read. */
  readonly ofOwner: ConcurrencyLimit;
}

interface FileRoute extends AttachmentFiles {
  /** Sign the addresses that can be fetched without a token. */
  readonly keys: KeyRing;
  readonly verifyToken: VerifyToken;
  /** Each file that is being read with an access token counts against it. */
  readonly openOperations: ConcurrencyLimit;
  /** Those that are read by signed addresses, which strangers may have, count against these and nothing else of the owner's. */
  readonly signedReads: SignedReadLimits;
  readonly maxStallMs?: number;
}

/** Whether a path is that of a file. */
export function isFilePath(path: string): boolean {
  return findKind(path) !== undefined;
}

/**
 * Creates the route of spoken clips, of exports and of attachments: GET and HEAD with the access token of the owner, or with the
 * signed address of an attachment, the whole file or one range (RFC 9110, section 14), which players need for seeking. A file never
 * changes, so its id is its entity tag.
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
  route: FileRoute,
  statements: StatementTally,
): Promise<void> {
  const { db, openOperations, signedReads, maxStallMs = stallMs } = route;
  const path = readPath(request);
  const kind = findKind(path);
  const signed = kind?.path === attachmentPath ? await findSigned(request, route, path.slice(kind.path.length)) : null;
  const viewer = signed?.owner ?? (await readViewer(request, route));
  const { tenantId, userId } = viewer;
  // Strangers wait for connections among themselves, and the owner's own requests do not wait for them.
  statements.owner = signed === null ? viewer : { tenantId, userId: `signed addresses of ${userId}` };
  using _open = signed === null ? openOperations.enter(viewer) : signedReads.ofOwner.enter(viewer);
  using _file = signed === null ? null : signedReads.ofFile.enter({ tenantId, userId: signed.file.id });
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return respondError(response, 405, 'BAD_USER_INPUT', 'Files are fetched with GET.');
  }
  if (kind === undefined) throw new NotFoundError('There is no such file.');
  const file: StoredFile = signed?.file ?? (await kind.read(viewer, db, path.slice(kind.path.length)));
  const tag = `"${file.id}"`;
  const headers = { ...(signed === null ? headersOf(kind) : headersOfSigned(signed)), etag: tag };
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
  const content = request.method === 'HEAD' ? null : kind.readBytes(route, file, start, end)[Symbol.asyncIterator]();
  try {
    // If nothing of it can be read, the answer is an error.
    const first = await content?.next();
    if (response.destroyed) return;
    response.writeHead(range === null ? 200 : 206, {
      ...headers,
      'content-type': file.mediaType,
      'content-length': end - start + 1,
      'accept-ranges': 'bytes',
      ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${file.size}` }),
    });
    if (content === null || first === undefined) {
      response.end();
      return;
    }
    response.setTimeout(maxStallMs, () => response.destroy());
    await pipeline(Readable.from(readOn(first, content)), response);
  } catch (error) {
    // Players disconnect when they have enough.
    if (!request.socket.destroyed) throw error;
  } finally {
    // Whoever has left before the first piece has begun nothing that would end the reading.
    await content?.return?.();
  }
}

/** What has been read of it, and the rest. */
async function* readOn(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let next = first; next.done !== true; next = await rest.next()) yield next.value;
}

async function readViewer(request: IncomingMessage, { verifyToken }: FileRoute): Promise<Viewer> {
  const token = readBearerToken(request.headers.authorization);
  if (token === null) throw new UnauthenticatedError();
  return verifyToken(token);
}

/** The attachment of a signed address. Null: the address has no signature, or the request has a token, which decides then. */
async function findSigned(request: IncomingMessage, { db, keys }: FileRoute, id: string) {
  const access = request.headers.authorization === undefined ? readParameter(request, accessParameter) : null;
  return access === null ? null : readSignedFile(keys, db, { id, access, now: Date.now() });
}

/** Players may store what is shown, but must revalidate: permission to hear it can change. */
function headersOf({ isShown }: FileKind): Record<string, string> {
  return {
    'cache-control': isShown ? 'private, no-cache' : 'private, no-store',
    vary: 'authorization, origin',
    ...(isShown ? {} : { 'content-disposition': 'attachment', 'x-content-type-options': 'nosniff' }),
  };
}

/** Pages of other sites may show it, and nothing that is in it is run: browsers show images and sound only, and store the rest. */
function headersOfSigned({
  file,
  owner,
}: {
  readonly file: AttachmentFile;
  readonly owner: Pick<Viewer, 'expiresAt'>;
}): Record<string, string> {
  const seconds = Math.max(0, Math.floor((owner.expiresAt - Date.now()) / 1_000));
  // RFC 8187: what encodeURIComponent leaves and a header must not have is encoded as well.
  const name = encodeURIComponent(file.name.toWellFormed()).replaceAll(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16)}`,
  );
  const isShown = shownInline.test(file.mediaType);
  return {
    'cache-control': `private, max-age=${Math.min(seconds, signedAgeSeconds)}`,
    vary: 'authorization, origin',
    'content-disposition': `${isShown ? 'inline' : 'attachment'}; filename*=UTF-8''${name}`,
    'content-security-policy': "default-src 'none'; sandbox",
    'cross-origin-resource-policy': 'cross-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  };
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
