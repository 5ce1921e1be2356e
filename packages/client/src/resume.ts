import type { FormattedExecutionResult, Sink, SubscribePayload } from 'graphql-ws';
import type { TurnSocket } from './request.ts';

/**
 * Subscribes as `client.subscribe` does, and goes on where it was after a reconnection. graphql-ws reads the variables
 * again when it reconnects, so `after` is the `seq` of the last event by then, and no event is missed or repeated. For
 * `conversationEvents`, `viewerEvents`, `runEvents` and, where `after` is part of `input`, `chatTurn`, in documents that
 * select `seq`.
 * @returns ends the subscription
 */
export function subscribeAndResume<Data = Record<string, unknown>, Extensions = unknown>(
  client: TurnSocket,
  payload: SubscribePayload,
  sink: Sink<FormattedExecutionResult<Data, Extensions>>,
): () => void {
  const { input } = payload.variables ?? {};
  const given: Record<string, unknown> =
    typeof input === 'object' && input !== null ? { ...input } : { ...payload.variables };
  let last = given.after;
  const resumed = {
    ...given,
    get after() {
      return last;
    },
  };
  const variables = input === undefined || input === null ? resumed : { ...payload.variables, input: resumed };
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
