import type { ExecutionResult } from 'graphql';
import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import { BadUserInputError } from '../../api/errors.ts';
import type { Operation } from '../operation.ts';
import type { RequestContext } from '../request-context.ts';
import { watchStream } from '../sockets/streams.ts';
import { failedWhole, shapeFailure } from './errors.ts';

/**
 * What every result passes through on its way out, over HTTP, SSE and sockets: errors are presented, the operation is
 * logged, and an HTTP request that failed altogether gets its status.
 */
export function useResults(): Plugin<RequestContext, RequestContext> {
  return {
    onValidate({ params, context }) {
      context.operation.describe(params.documentAST, context.params?.operationName);
    },
    onExecute({ args, context }) {
      context.operation.describe(args.document, args.operationName);
      return {
        onExecuteDone({ result, setResult }) {
          if (!isAsyncIterable(result)) setResult(presentResult(result, context.operation));
        },
      };
    },
    onSubscribe({ args, context }) {
      context.operation.describe(args.document, args.operationName);
      // Before the source starts: an answer that cannot be a stream would leave a turn running that nobody reads.
      if (context.request) assertStreamAccepted(context.request);
      context.operation.subscribed = true;
      return {
        onSubscribeResult({ result, setResult }) {
          if (!isAsyncIterable(result)) return setResult(presentResult(result, context.operation));
          context.operation.streaming = true;
          // A socket sees to its own expiry.
          const expiresAt = context.request ? (context.operation.viewer?.expiresAt ?? null) : null;
          const stream = watchStream(result, context.operation, expiresAt);
          // A client that left before the answer began leaves nothing that would be cancelled: it is heard of here.
          if (context.request) leaveWith(context.request.signal, stream);
          return setResult(stream);
        },
      };
    },
    onResultProcess({ request, result, setResult, serverContext }) {
      if (isAsyncIterable(result) || Array.isArray(result)) return;
      const { operation } = serverContext;
      const presented = presentResult(result, operation);
      operation.finish();
      const errors = presented.errors ?? [];
      if (!failedWhole(presented.data, errors)) return setResult(presented);
      const { status, headers } = shapeFailure(errors);
      // A stream that begins and ends with an error is an answer: its readers look for the code inside. So it is for
      // a client that runs queries over SSE too, as long as they were run.
      const executed = operation.subscribed || (presented.data !== undefined && !accepts(request, 'json'));
      const streamed = executed && accepts(request, 'text/event-stream');
      const http = streamed ? { status: 200 } : { status, headers };
      return setResult({ ...presented, extensions: { ...presented.extensions, http } });
    },
  };
}

function leaveWith(signal: AbortSignal, stream: AsyncIterableIterator<unknown>): void {
  const leave = () => void stream.return?.()?.catch(() => {});
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave, { once: true });
}

/** The result with its errors made fit to be seen. */
export function presentResult(result: ExecutionResult, operation: Operation): ExecutionResult {
  return result.errors ? { ...result, errors: operation.present(result.errors) } : result;
}

function assertStreamAccepted(request: Request): void {
  const accept = request.headers.get('accept') ?? '*/*';
  if (accepts(request, 'text/event-stream') || /(^|[,\s])(\*|text)\/\*/.test(accept)) return;
  throw new BadUserInputError('Over HTTP a subscription is answered as text/event-stream: accept that.', ['accept']);
}

function accepts(request: Request, mediaType: string): boolean {
  return request.headers.get('accept')?.toLowerCase().includes(mediaType) ?? false;
}
