import { isAsyncIterable, type Plugin } from 'graphql-yoga';
import type { RequestContext } from '../operation/request-context.ts';

/** Gives each operation its log line: name and type when they are known, the line itself with the result over HTTP. */
export function useOperationLog(): Plugin<RequestContext, RequestContext> {
  return {
    onValidate({ params, context }) {
      context.operation.describe(params.documentAST, context.params?.operationName);
    },
    // Validation is skipped for documents that were validated before.
    onExecute({ args, context }) {
      context.operation.describe(args.document, args.operationName);
    },
    onSubscribe({ args, context }) {
      context.operation.describe(args.document, args.operationName);
    },
    onResultProcess({ result, serverContext }) {
      if (!isAsyncIterable(result)) serverContext.operation.finish();
    },
  };
}
