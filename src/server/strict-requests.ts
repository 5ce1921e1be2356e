import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { BadUserInputError, UnauthenticatedError } from '../errors.ts';
import { readBoundary } from '../multipart.ts';
import { BodyTooLargeError, readBody } from './body.ts';
import type { Operation } from './operation.ts';
import type { RequestContext } from './request-context.ts';
import { UploadGate } from './upload-gate.ts';
import { mostUploadBytes, readUpload } from './uploads.ts';

/** The largest operation, in bytes. */
const mostJsonBytes = 2_000_000;

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
 * need a header that makes it ask. Nobody's uploads are refused before they are read, and the others' keep their place in
 * the gate until their operation has ended: as long as they are in memory. That all come as POST is a matter of http.ts.
 */
export function useStrictRequests(): Plugin<RequestContext, RequestContext> {
  const gate = new UploadGate();
  /** What lets the upload of an operation out of the gate. */
  const inside = new WeakMap<Operation, () => void>();
  return {
    onRequestParse({ request, requestParser, setRequestParser, serverContext, fetchAPI }) {
      const contentType = request.headers.get('content-type') ?? '';
      const [mediaType = ''] = contentType.split(';');
      const { operation, incoming } = serverContext;
      switch (mediaType.trim().toLowerCase()) {
        case 'application/json': {
          if (declaresLength(request, mostJsonBytes) || !requestParser || !incoming) return;
          // In chunks: what it declares is nothing, so it is counted.
          setRequestParser(async ({ url, method, headers, signal }) => {
            const body = await readLimited(incoming, mostJsonBytes);
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
          declaresLength(request, mostUploadBytes);
          setRequestParser(async () => {
            inside.set(operation, gate.enter(viewer));
            return readUpload(await readLimited(incoming, mostUploadBytes), boundary);
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
      inside.get(operation)?.();
    },
  };
}

/**
 * Whether a request says how long its body is; the HTTP parser sees to it that it is no longer.
 * @throws {GraphQLError} when it is more than `most` bytes
 */
function declaresLength(request: Request, most: number): boolean {
  const declared = request.headers.get('content-length');
  if (declared === null) return false;
  if (Number(declared) > most) throw tooLarge(most);
  return true;
}

async function readLimited(incoming: IncomingMessage, most: number): Promise<Buffer<ArrayBuffer>> {
  try {
    return await readBody(incoming, most);
  } catch (error) {
    throw error instanceof BodyTooLargeError ? tooLarge(most) : error;
  }
}

function tooLarge(most: number): GraphQLError {
  return refuse(`The body of the request has more than ${most.toLocaleString('en-US')} bytes.`, 413);
}

function refuse(message: string, status: number): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', http: { status } } });
}
