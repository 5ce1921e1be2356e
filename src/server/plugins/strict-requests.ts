import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { BadUserInputError, UnauthenticatedError } from '../../api/errors.ts';
import { readBoundary } from '../../api/multipart.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import { type BodyLimits, BodyTooLargeError, BodyTooSlowError, readBody } from '../http/body.ts';
import { maxUploadBytes, maxUploadMs, readUpload, uploadPace } from '../http/uploads.ts';
import type { Operation } from '../operation.ts';
import type { RequestContext } from '../request-context.ts';

/** The largest operation, in bytes, and how long its body may take. */
const jsonLimits: BodyLimits = { maxBytes: 2_000_000, totalMs: 30_000 };
/**
 * Uploads are held in memory, each of them up to twice: as it was received, and as it is sent to the provider. So their
 * number is bounded from the first byte to the end of the operation.
 */
const maxUploads = { user: 3, tenant: 6, process: 12 } as const;
const uploadLimits: BodyLimits = { maxBytes: maxUploadBytes, totalMs: maxUploadMs, pace: uploadPace };

/** Headers that no form can send, and that make a browser ask first (preflight). One of them goes with each upload. */
export const preflightHeaders = [
  'graphql-require-preflight',
  'apollo-require-preflight',
  'x-graphql-yoga-csrf',
  'x-requested-with',
] as const;

/**
 * Operations come as JSON, or as multipart/form-data where they bring a file. Forms and plain text are what a page of
 * another site can send with no preflight (CSRF); application/json always asks the browser first, and multipart bodies
 * need a header that makes it ask. Uploads without a viewer are refused before they are read; all others count as open
 * until their operation has ended, as long as they are in memory. That all come as POST is a matter of http.ts.
 */
export function useStrictRequests(): Plugin<RequestContext, RequestContext> {
  const openUploads = new ConcurrencyLimit('uploads', maxUploads);
  /** What counts the upload of an operation as open. */
  const inside = new WeakMap<Operation, Disposable>();
  return {
    onRequestParse({ request, requestParser, setRequestParser, serverContext, fetchAPI }) {
      const contentType = request.headers.get('content-type') ?? '';
      const [mediaType = ''] = contentType.split(';');
      const { operation, incoming } = serverContext;
      switch (mediaType.trim().toLowerCase()) {
        case 'application/json': {
          assertDeclaredLength(request, jsonLimits.maxBytes);
          if (!requestParser || !incoming) return;
          setRequestParser(async ({ url, method, headers, signal }) => {
            const body = await readLimited(incoming, jsonLimits);
            return requestParser(new fetchAPI.Request(url, { method, headers, signal, body }));
          });
          return;
        }
        case 'multipart/form-data': {
          if (!preflightHeaders.some((name) => request.headers.has(name))) {
            throw refuse(`An upload needs the header ${preflightHeaders[0]}, or another that no form can send.`, 415);
          }
          const { viewer } = operation;
          if (viewer === null) throw new UnauthenticatedError();
          const boundary = readBoundary(contentType);
          if (boundary === null || !incoming) throw refuse('The Content-Type of the upload has no boundary.', 400);
          assertDeclaredLength(request, uploadLimits.maxBytes);
          setRequestParser(async () => {
            inside.set(operation, openUploads.enter(viewer));
            return readUpload(await readLimited(incoming, uploadLimits), boundary);
          });
          return;
        }
        default:
          throw refuse('The body of an operation is application/json.', 415);
      }
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const { operation } = args.contextValue;
      if (!inside.has(operation)) return;
      // It would stay in memory as long as its reader stays.
      const originalError = new BadUserInputError('A subscription is sent as application/json.', ['body']);
      setResultAndStopExecution({ errors: [new GraphQLError(originalError.message, { originalError })] });
    },
    onResultProcess({ serverContext: { operation } }) {
      inside.get(operation)?.[Symbol.dispose]();
    },
  };
}

/**
 * Sees that a request does not announce a body that is too long: nothing of it is read then.
 * @throws {GraphQLError} when it is more than `most` bytes
 */
function assertDeclaredLength(request: Request, most: number): void {
  if (Number(request.headers.get('content-length') ?? 0) > most) throw tooLarge(most);
}

async function readLimited(incoming: IncomingMessage, limits: BodyLimits): Promise<Buffer<ArrayBuffer>> {
  try {
    return await readBody(incoming, limits);
  } catch (error) {
    if (error instanceof BodyTooLargeError) throw tooLarge(limits.maxBytes);
    throw error instanceof BodyTooSlowError ? tooSlow(limits) : error;
  }
}

function tooSlow({ totalMs, pace }: BodyLimits): GraphQLError {
  const most = `it has ${totalMs / 1_000} seconds`;
  const least = pace
    ? `, and ${pace.bytes.toLocaleString('en-US')} bytes must come in every ${pace.everyMs / 1_000}`
    : '';
  return refuse(`The body of the request came too slowly: ${most}${least}.`, 408);
}

function tooLarge(most: number): GraphQLError {
  return refuse(`The body of the request has more than ${most.toLocaleString('en-US')} bytes.`, 413);
}

function refuse(message: string, status: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status } } });
}
