import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { httpStatusOf, SwitchboardError, UnauthenticatedError } from '../../api/errors.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { Database } from '../../database/client.ts';
import { readClip, readClipBytes } from '../../speech/clips.ts';
import { clipPath } from '../../speech/synthesize.ts';
import { readPath, refuse } from './http.ts';

/** Whether a path is that of a clip. */
export function isClipPath(path: string): boolean {
  return path.startsWith(clipPath);
}

/**
 * Makes the route of spoken clips: GET and HEAD with the owner's access token, whole or one range (RFC 9110, section 14),
 * which players need to jump. Clips never change, so that their id is their tag.
 */
export function createClipRoute({ db, verifyToken }: { readonly db: Database; readonly verifyToken: VerifyToken }) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      await serveClip(request, response, db, verifyToken);
    } catch (error) {
      if (response.headersSent || !(error instanceof SwitchboardError)) throw error;
      if (error instanceof UnauthenticatedError) response.setHeader('www-authenticate', 'Bearer');
      refuse(response, httpStatusOf[error.code], error.code, error.message);
    }
  };
}

async function serveClip(
  request: IncomingMessage,
  response: ServerResponse,
  db: Database,
  verifyToken: VerifyToken,
): Promise<void> {
  const token = readBearerToken(request.headers.authorization);
  if (token === null) throw new UnauthenticatedError();
  const viewer = await verifyToken(token);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return refuse(response, 405, 'BAD_USER_INPUT', 'Clips are fetched with GET.');
  }
  const clip = await readClip(viewer, db, readPath(request).slice(clipPath.length));
  const tag = `"${clip.id}"`;
  // Kept by the player, and asked about again each time: who may hear it can change.
  const headers = { 'cache-control': 'private, no-cache', vary: 'authorization, origin', etag: tag };
  if (namesTag(request.headers['if-none-match'], tag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const { 'if-range': condition, range: asked } = request.headers;
  const range = condition === undefined || condition === tag ? readRange(asked, clip.size) : null;
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${clip.size}`);
    return refuse(response, 416, 'BAD_USER_INPUT', `The clip has ${clip.size} bytes.`);
  }
  const [from, to] = range ?? [0, clip.size - 1];
  response.writeHead(range === null ? 200 : 206, {
    ...headers,
    'content-type': clip.mediaType,
    'content-length': to - from + 1,
    'accept-ranges': 'bytes',
    ...(range === null ? {} : { 'content-range': `bytes ${from}-${to}/${clip.size}` }),
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  try {
    await pipeline(Readable.from(readClipBytes(db, clip, from, to)), response);
  } catch (error) {
    // Players leave when they have heard enough.
    if (!request.socket.destroyed) throw error;
  }
}

/** Whether If-None-Match names a tag: one, a list, weak ones, or `*` for any (RFC 9110, section 13.1.2). */
function namesTag(header: string | undefined, tag: string): boolean {
  const named = (header ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''));
  return named.includes(tag) || (named.length === 1 && named[0] === '*');
}

/** The first and last byte of a range; null: all, as where several are asked for or what is asked is malformed. */
function readRange(header: string | undefined, size: number): [number, number] | 'unsatisfiable' | null {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? [];
  if (first === '' && last === '') return null;
  if (first === '') return Number(last) === 0 ? 'unsatisfiable' : [Math.max(0, size - Number(last)), size - 1];
  const [from, to] = [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)];
  if (last !== '' && Number(last) < from) return null;
  return from >= size ? 'unsatisfiable' : [from, to];
}
