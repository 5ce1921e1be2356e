import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { BadUserInputError, UnauthenticatedError } from '../../api/errors.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { Operation } from '../operation/operation.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { type BodyLimits, BodyTooLargeError, BodyTooSlowError, readBody } from '../requests/body.ts';
import { preflightHeaders } from '../requests/origins.ts';
import { maxUploadBytes, maxUploadMs, readUpload, uploadPace } from '../requests/read-upload.ts';

/** The largest JSON body, in bytes, and how long it may take. */
const jsonLimits: BodyLimits = { maxBytes: 2_000_000, totalMs: 30_000 };
/**
 * Uploads are held in memory, each up to twice: as received, and as sent to the provider. So their number is limited, from
 * the first byte to the end of the operation.
 */
const maxUploads = { user: 3, tenant: 6, process: 12 } as const;
const uploadLimits: BodyLimits = { maxBytes: maxUploadBytes, totalMs: maxUploadMs, pace: uploadPace };

/**
 * Accepts operations as JSON, and as multipart/form-data if they carry a file. A page of another site can send forms and
 * plain text without a preflight (CSRF), so these are refused; application/json always causes a preflight, and multipart
 * bodies need a header that does. Uploads without a valid token are refused unread. The others count against the limit of
 * concurrent uploads until their operation ends, which is how long they stay in memory. (http.ts accepts POST only.)
 */
export function useRequestBodies(): Plugin<RequestContext, RequestContext> {
  const openUploads = new ConcurrencyLimit('uploads', maxUploads);
  /** Takes the upload of an operation off the count. */
  const uploads = new WeakMap<Operation, Disposable>();
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
            throw httpError(`Uploads require the header ${preflightHeaders[0]} (CSRF protection).`, 415);
          }
          const { viewer } = operation;
          if (viewer === null) throw new UnauthenticatedError();
          if (!incoming) throw httpError('An upload needs a request body.', 400);
          assertDeclaredLength(request, uploadLimits.maxBytes);
          setRequestParser(async () => {
            uploads.set(operation, openUploads.enter(viewer));
            return readUpload(await readLimited(incoming, uploadLimits), contentType);
          });
          return;
        }
        default:
          throw httpError('Send the operation as application/json.', 415);
      }
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      if (!uploads.has(args.contextValue.operation)) return;
      // The upload would stay in memory as long as the stream is read.
      const originalError = new BadUserInputError('Send a subscription as application/json.', ['body']);
      setResultAndStopExecution({ errors: [new GraphQLError(originalError.message, { originalError })] });
    },
    onResultProcess({ serverContext: { operation } }) {
      uploads.get(operation)?.[Symbol.dispose]();
    },
  };
}

/**
 * Checks that a request does not declare a body that is too long, before anything of it is read.
 * @throws {GraphQLError} when it declares more than `maxBytes` bytes
 */
function assertDeclaredLength(request: Request, maxBytes: number): void {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge(maxBytes);
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
  const rate = pace
    ? `, at no less than ${pace.bytes.toLocaleString('en-US')} bytes per ${pace.everyMs / 1_000} seconds`
    : '';
  return httpError(`The request body arrived too slowly: send it within ${totalMs / 1_000} seconds${rate}.`, 408);
}

function tooLarge(maxBytes: number): GraphQLError {
  return httpError(`The request body has more than ${maxBytes.toLocaleString('en-US')} bytes.`, 413);
}

function httpError(message: string, status: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status } } });
}
