import { ApolloLink, HttpLink, type InMemoryCacheConfig } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import type { Client } from 'graphql-ws';
import generated from './generated/possible-types.ts';
import { typePolicies } from './generated/type-policies.ts';
import { subscribeAndResume } from './resume.ts';

/** For `new InMemoryCache(cacheOptions)`: the types of interfaces and unions, and how what has no id is merged. */
export const cacheOptions: Pick<InMemoryCacheConfig, 'possibleTypes' | 'typePolicies'> = {
  possibleTypes: generated.possibleTypes,
  typePolicies,
};

/**
 * A link for subscriptions, over a client of graphql-ws. After a cut, a stream goes on after the last `seq` that was seen:
 * no event is missed or comes twice. Its document has to select `seq`.
 */
export function createSocketLink(client: Client): ApolloLink {
  return new GraphQLWsLink({ ...client, subscribe: (payload, sink) => subscribeAndResume(client, payload, sink) });
}

/**
 * The link of an application: subscriptions go over the socket and are resumed, queries and mutations over HTTP.
 * @param options.url of GraphQL, `http:` or `https:`
 * @param options.getToken is called for each request
 */
export function createLink(options: {
  readonly url: string;
  readonly socket: Client;
  readonly getToken: () => string | Promise<string>;
}): ApolloLink {
  const authorize = new SetContextLink(async ({ headers }) => ({
    headers: { ...headers, authorization: `Bearer ${await options.getToken()}` },
  }));
  return ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    createSocketLink(options.socket),
    authorize.concat(new HttpLink({ uri: options.url })),
  );
}
