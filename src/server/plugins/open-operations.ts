import type { Plugin } from 'graphql-yoga';
import type { AnswerBytes } from '../../limits/answer-bytes.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';

/**
 * Counts every operation over HTTP, streams included, against the limit of open operations until it finishes. Those over
 * sockets count against the same limit (sockets/protocol.ts). A client that does not read its answers gets no more.
 */
export function useOpenOperations(
  openOperations: ConcurrencyLimit,
  answers: AnswerBytes,
): Plugin<object, RequestContext> {
  return {
    onRequestParse({ serverContext: { operation } }) {
      if (!operation.viewer) return;
      answers.assertRoom(operation.viewer);
      operation.hold(openOperations.enter(operation.viewer));
    },
  };
}
