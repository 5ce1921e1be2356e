import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import { failedWhole, shapeFailure } from '../operation/present-error.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { accepts } from '../requests/accept.ts';

/** Gives an HTTP request that failed altogether the status of its first error. */
export function useHttpStatus(): Plugin<object, RequestContext> {
  return {
    onResultProcess({ request, result, setResult, serverContext: { operation } }) {
      if (isAsyncIterable(result) || Array.isArray(result)) return;
      const errors = result.errors ?? [];
      if (!failedWhole(result.data, errors)) return;
      const { status, headers } = shapeFailure(errors);
      // A stream that starts and ends with an error has status 200: its readers look for the code inside. The same holds
      // for clients that run queries over SSE, once the query was executed.
      const executed = operation.subscribed || (result.data !== undefined && !accepts(request, 'json'));
      const streamed = executed && accepts(request, 'text/event-stream');
      const http = streamed ? { status: 200 } : { status, headers };
      setResult({ ...result, extensions: { ...result.extensions, http } });
    },
  };
}
