import {
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  type GraphQLTaggedNode,
  getRequest,
  graphql,
  type OperationType,
  requestSubscription,
} from 'relay-runtime';
import type { pageRelayCancelMutation } from './__generated__/pageRelayCancelMutation.graphql.ts';
import type { pageRelaySelectMutation } from './__generated__/pageRelaySelectMutation.graphql.ts';
import type { relayCacheConversationSubscription } from './__generated__/relayCacheConversationSubscription.graphql.ts';
import type { relayCacheListQuery } from './__generated__/relayCacheListQuery.graphql.ts';
import type { relayCacheOpenQuery } from './__generated__/relayCacheOpenQuery.graphql.ts';
import type { relayCacheRunSubscription } from './__generated__/relayCacheRunSubscription.graphql.ts';
import type { relayCacheTurnSubscription } from './__generated__/relayCacheTurnSubscription.graphql.ts';
import type { relayCacheViewerSubscription } from './__generated__/relayCacheViewerSubscription.graphql.ts';
import { createApp } from './create-app.ts';
import { openEnvironment } from './relay.ts';
import {
  applyText,
  conversationSubscription,
  listOfConversations,
  listOfMessages,
  listQuery,
  openQuery,
  runSubscription,
  turnSubscription,
  viewerSubscription,
} from './relay-cache.ts';
import { socketOptions } from './socket-options.ts';

const environment = openEnvironment(`${location.origin}/graphql`, async () => window.token, socketOptions);

/** Reads a query from the server, and keeps what it has read in the store, as a component does. */
async function watch<Query extends OperationType>(
  query: GraphQLTaggedNode,
  variables: Query['variables'],
): Promise<Query['response']> {
  const operation = createOperationDescriptor(getRequest(query), variables);
  environment.retain(operation);
  const data = await fetchQuery<Query>(environment, query, variables).toPromise();
  if (data === undefined) throw new Error('There was no answer.');
  environment.subscribe(environment.lookup(operation.fragment), () => {});
  return data;
}

/** What the store alone has of a query. @throws if a component would have to ask the server */
function readStore<Query extends OperationType>(
  query: GraphQLTaggedNode,
  variables: Query['variables'],
): Query['response'] {
  const operation = createOperationDescriptor(getRequest(query), variables);
  const { data, isMissingData } = environment.lookup(operation.fragment);
  const { status } = environment.check(operation);
  if (isMissingData || status !== 'available') throw new Error(`The store lacks something: the data are ${status}.`);
  return data as Query['response'];
}

/** Follows a stream. Resolves at its end. */
function follow<Subscription extends OperationType>(
  subscription: GraphQLTaggedNode,
  variables: Subscription['variables'],
  options: Pick<Parameters<typeof requestSubscription<Subscription>>[1], 'updater' | 'onNext'> = {},
): Promise<void> {
  return new Promise((onCompleted, onError) => {
    requestSubscription<Subscription>(environment, { subscription, variables, onCompleted, onError, ...options });
  });
}

let openId = '';
/** Ends what belongs to the conversation that was open before. */
let leave = () => {};

window.app = createApp({
  readList: async () => (await watch<relayCacheListQuery>(listQuery, {})).viewer.lastEventSeq,
  async readConversation(id) {
    openId = id;
    leave();
    const { conversation } = await watch<relayCacheOpenQuery>(openQuery, { id });
    if (!conversation) return null;
    const variables = { id, after: conversation.lastEventSeq, connections: [listOfMessages(id)] };
    const { dispose } = requestSubscription<relayCacheConversationSubscription>(environment, {
      subscription: conversationSubscription,
      variables,
      onError: reportError,
    });
    leave = dispose;
    return conversation.activeRun ?? null;
  },
  followViewer(after, show) {
    const variables = { after, connections: [listOfConversations()] };
    void follow<relayCacheViewerSubscription>(viewerSubscription, variables, {
      onNext: (data) => data && show(data.viewerEvents),
    });
  },
  followTurn: (input) =>
    follow<relayCacheTurnSubscription>(
      turnSubscription,
      { input, connections: [listOfMessages(input.conversationId)] },
      { updater: (store, data) => data && applyText(store, data.chatTurn) },
    ),
  followRun: (runId, after) =>
    follow<relayCacheRunSubscription>(
      runSubscription,
      { runId, after, connections: [listOfMessages(openId)] },
      { updater: (store, data) => data && applyText(store, data.runEvents) },
    ),
  selectBranch: (messageId) =>
    new Promise((resolve, onError) => {
      commitMutation<pageRelaySelectMutation>(environment, {
        mutation: graphql`
          mutation pageRelaySelectMutation($messageId: ID!) {
            selectBranch(messageId: $messageId) {
              id
            }
          }
        `,
        variables: { messageId },
        onCompleted: () => resolve(),
        onError,
      });
    }),
  cancelRun: (runId) =>
    new Promise((resolve, onError) => {
      commitMutation<pageRelayCancelMutation>(environment, {
        mutation: graphql`
          mutation pageRelayCancelMutation($runId: ID!) {
            cancelRun(id: $runId) {
              id
            }
          }
        `,
        variables: { runId },
        onCompleted: () => resolve(),
        onError,
      });
    }),
  cachedList: async () => readStore<relayCacheListQuery>(listQuery, {}).conversations,
  async cachedConversation(id) {
    const { conversation } = readStore<relayCacheOpenQuery>(openQuery, { id });
    if (!conversation) return null;
    const { lastEventSeq: _, messages, activeRun, ...fields } = conversation;
    // As a page shows them: docs/clients.md.
    const edges = messages.edges.toSorted((a, b) => (a.node.position ?? 0) - (b.node.position ?? 0));
    return { ...fields, activeRun: activeRun ?? null, messages: { edges } };
  },
});
