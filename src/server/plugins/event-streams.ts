import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import type { SharedConcurrencyLimit } from '../../limits/shared-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { watchStream } from '../operation/watch-stream.ts';
import { assertStreamAccepted } from '../requests/accept.ts';

/**
 * Watches the stream of every subscription; over HTTP, it ends with the token and with the request, and counts against the
 * limit of open event streams.
 */
export function useEventStreams(openStreams: SharedConcurrencyLimit): Plugin<RequestContext> {
  return {
    async onSubscribe({ context: { operation, request } }) {
      // Before the source starts: otherwise a turn would run for a client that cannot read its stream.
      if (request) assertStreamAccepted(request);
      operation.subscribed = true;
      if (request && operation.viewer) operation.hold(await openStreams.enter(operation.viewer));
      return {
        onSubscribeResult({ result, setResult }) {
          if (!isAsyncIterable(result)) return;
          operation.streaming = true;
          // A socket closes by itself when its token expires.
          const expiresAt = request ? (operation.viewer?.expiresAt ?? null) : null;
          const stream = watchStream(result, operation, expiresAt);
          // Yoga does not cancel the stream of a client that left before the response began.
          if (request) endWithRequest(request.signal, stream);
          setResult(stream);
        },
      };
    },
  };
}

function endWithRequest(signal: AbortSignal, stream: AsyncIterableIterator<unknown>): void {
  const end = () => void stream.return?.()?.catch(() => {});
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
}
