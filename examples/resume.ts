import type { Client, FormattedExecutionResult, Sink, SubscribePayload } from 'graphql-ws';

/**
 * Subscribes as `client.subscribe` does, and goes on where it was after a reconnection. graphql-ws reads the variables
 * again when it reconnects, so `after` is the `seq` of the last event by then, and no event is missed or repeated. For
 * `conversationEvents`, `viewerEvents` and `runEvents`, in documents that select `seq`.
 * @returns ends the subscription
 */
export function subscribeAndResume<Data extends Record<string, unknown>, Extensions>(
  client: Client,
  payload: SubscribePayload,
  sink: Sink<FormattedExecutionResult<Data, Extensions>>,
): () => void {
  let last = payload.variables?.after;
  const variables = {
    ...payload.variables,
    get after() {
      return last;
    },
  };
  return client.subscribe<Data, Extensions>(
    { ...payload, variables },
    {
      ...sink,
      next: (result) => {
        const [event]: unknown[] = Object.values(result.data ?? {});
        if (typeof event === 'object' && event !== null && 'seq' in event) last = event.seq;
        sink.next(result);
      },
    },
  );
}
