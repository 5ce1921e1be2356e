import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import type { RequestContext } from '../operation/request-context.ts';

/** Turns the errors of every single result into what a client may see. (Those of streams: useEventStreams.) */
export function useErrorPresentation(): Plugin<RequestContext, RequestContext> {
  return {
    onExecute({ context }) {
      return {
        onExecuteDone({ result, setResult }) {
          if (!isAsyncIterable(result)) setResult(context.operation.presentResult(result));
        },
      };
    },
    onSubscribe({ context }) {
      return {
        onSubscribeResult({ result, setResult }) {
          if (!isAsyncIterable(result)) setResult(context.operation.presentResult(result));
        },
      };
    },
    // Also requests that were refused before they were executed.
    onResultProcess({ result, setResult, serverContext }) {
      if (isAsyncIterable(result) || Array.isArray(result)) return;
      setResult(serverContext.operation.presentResult(result));
    },
  };
}
