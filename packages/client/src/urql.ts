import { type Exchange, subscriptionExchange } from '@urql/core';
import type { TurnSocket } from './request.ts';
import { subscribeAndResume } from './resume.ts';

/**
 * An exchange for subscriptions, over a client of graphql-ws. After a cut, a stream goes on after the last `seq` that was
 * seen: no event is missed or comes twice. Its document has to select `seq`.
 */
export function createSocketExchange(client: TurnSocket): Exchange {
  return subscriptionExchange({
    forwardSubscription: ({ query = '', variables }) => ({
      subscribe: (sink) => ({
        unsubscribe: subscribeAndResume(
          client,
          { query, variables },
          {
            next: ({ data, errors }) => sink.next({ data: data ?? null, ...(errors && { errors }) }),
            error: (error) => sink.error(error),
            complete: () => sink.complete(),
          },
        ),
      }),
    }),
  });
}
