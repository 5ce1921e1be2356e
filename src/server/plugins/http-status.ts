import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import { failedWhole, shapeFailure } from '../operation/present-error.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { accepts } from '../requests/accept.ts';

/** With the value 200, a client is answered with 200 also if an operation that was executed has failed. */
const failureStatusHeader = 'graphql-failure-status';

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
      // Browsers log other statuses as resources that have failed to load: pages may ask for 200 where an operation was executed.
      const asksFor200 = result.data !== undefined && request.headers.get(failureStatusHeader) === '200';
      const http = streamed || asksFor200 ? { status: 200 } : { status, headers };
      setResult({ ...result, extensions: { ...result.extensions, http } });
    },
  };
}
