import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { GraphQLParams, Plugin } from 'graphql-yoga';
import { BadUserInputError, UnauthenticatedError } from '../../api/errors.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { Operation } from '../operation/operation.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { type BodyLimits, BodyTooLargeError, BodyTooSlowError, readBody } from '../requests/body.ts';
import { operationForm, readOperationInUrl, toParams } from '../requests/operation-form.ts';
import { preflightHeaders } from '../requests/origins.ts';
import { maxUploadBytes, maxUploadMs, readUpload, uploadFramingBytes, uploadPace } from '../requests/read-upload.ts';

/** The largest JSON body, in bytes, and how long it may take. */
const jsonLimits: BodyLimits = { maxBytes: 2_000_000, totalMs: 30_000 };
/**
 * Uploads are held in memory, each up to twice: as received, and as sent to the provider. So their number is limited, from
 * the first byte to the end of the operation.
 */
const maxUploads = { user: 3, tenant: 6, process: 12 } as const;
/** Of those that are larger than any but an import. They must declare their length, so that they are counted before they are read. */
const maxLargeUploads = { user: 1, tenant: 2, process: 3 } as const;
const uploadLimits: BodyLimits = { maxBytes: maxUploadBytes, totalMs: maxUploadMs, pace: uploadPace };

/**
 * Accepts operations as JSON, and as multipart/form-data if they carry a file. A page of another site can send forms and
 * plain text without a preflight (CSRF), so these are refused; application/json always causes a preflight, and multipart
 * bodies need a header that does. Uploads without a valid token are refused unread. The others count against the limit of
 * concurrent uploads until their operation ends, which is how long they stay in memory. With GET, http.ts
 * accepts the ids of documents only.
 * @param maxImportBytes the largest file of conversations that can be imported
 */
export function useRequestBodies(maxImportBytes: number): Plugin<RequestContext, RequestContext> {
  const openUploads = new ConcurrencyLimit('uploads', maxUploads);
  const largeUploads = new ConcurrencyLimit('large uploads', maxLargeUploads);
  const maxBytes = Math.max(maxUploadBytes, maxImportBytes + uploadFramingBytes);
  const uploads = new WeakSet<Operation>();
  return {
    onRequestParse({ request, setRequestParser, serverContext }) {
      // It was read by useAuthentication.
      if (serverContext.operation.stranger !== null) return;
      if (request.method === 'GET') {
        const form = readOperationInUrl(request.url);
        if (form === null) throw httpError('The variables and extensions of the URL must be JSON objects.', 400);
        setRequestParser(() => toParams(form));
        return;
      }
      assertNotEncoded(request);
      const contentType = request.headers.get('content-type') ?? '';
      const [mediaType = ''] = contentType.split(';');
      const { operation, incoming } = serverContext;
      switch (mediaType.trim().toLowerCase()) {
        case 'application/json': {
          assertDeclaredLength(request, jsonLimits.maxBytes);
          if (!incoming) throw httpError('An operation needs a request body.', 400);
          setRequestParser(async () => parseOperation(await readLimited(incoming, jsonLimits)));
          return;
        }
        case 'multipart/form-data': {
          if (!preflightHeaders.some((name) => request.headers.has(name))) {
            throw httpError(`Uploads require the header ${preflightHeaders[0]} (CSRF protection).`, 415);
          }
          const { viewer } = operation;
          if (viewer === null) throw new UnauthenticatedError();
          if (!incoming) throw httpError('An upload needs a request body.', 400);
          assertDeclaredLength(request, maxBytes);
          const isLarge = Number(request.headers.get('content-length') ?? 0) > maxUploadBytes;
          setRequestParser(async () => {
            operation.hold(openUploads.enter(viewer));
            if (isLarge) operation.hold(largeUploads.enter(viewer));
            uploads.add(operation);
            const limits = isLarge ? { ...uploadLimits, maxBytes } : uploadLimits;
            return readUpload(await readLimited(incoming, limits), contentType);
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
  };
}

/**
 * Reads an operation from JSON.
 * @throws {GraphQLError} when it is not JSON, or not one operation
 */
function parseOperation(body: Buffer): GraphQLParams {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    throw httpError('The request body is not valid JSON.', 400);
  }
  if (Array.isArray(json)) throw httpError('Send one operation per request: batches are not supported.', 400);
  const form = operationForm.safeParse(json);
  if (form.success) return toParams(form.data);
  const [field] = form.error.issues[0]?.path ?? [];
  const type = field === 'query' || field === 'operationName' || field === 'documentId' ? 'a string' : 'an object';
  throw httpError(`${field === undefined ? 'The request body' : String(field)} must be ${type}.`, 400);
}

/** Compressed bodies are not read: a small one may expand to any size. */
function assertNotEncoded(request: Request): void {
  const encoding = request.headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity') throw httpError('Send the request body without Content-Encoding.', 415);
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
