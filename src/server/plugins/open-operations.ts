import type { Plugin } from 'graphql-yoga';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';

/**
 * Counts every operation over HTTP, streams included, against the limit of open operations until it finishes. Those over
 * sockets count against the same limit (sockets/protocol.ts).
 */
export function useOpenOperations(openOperations: ConcurrencyLimit): Plugin<object, RequestContext> {
  return {
    onRequestParse({ serverContext: { operation } }) {
      if (operation.viewer) operation.hold(openOperations.enter(operation.viewer));
    },
  };
}
