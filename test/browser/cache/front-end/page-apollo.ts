import type { OperationVariables, TypedDocumentNode } from '@apollo/client';
import { applyEvent, type CachedEvent, openCachedClient } from './apollo-cache.ts';
import { createApp } from './create-app.ts';
import {
  CachedCancelDocument,
  CachedConversationEventsDocument,
  CachedEventsDocument,
  CachedListDocument,
  CachedOpenDocument,
  CachedRunEventsDocument,
  CachedSelectBranchDocument,
  CachedTurnDocument,
} from './generated/graphql.ts';
import { socketOptions } from './socket-options.ts';

const client = openCachedClient(`${location.origin}/graphql`, async () => window.token, socketOptions);
const { cache } = client;

/** Watches a query, as useQuery does. Resolves with its first answer. */
function watch<Data, Variables extends OperationVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  return new Promise((resolve, reject) => {
    client.watchQuery<Data, OperationVariables>({ query, variables }).subscribe(({ data, dataState, error }) => {
      if (error) reject(error);
      else if (dataState === 'complete') resolve(data as Data);
    });
  });
}

/** Applies the events of a stream. */
function follow<Data, Variables extends OperationVariables, Event extends CachedEvent>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  eventOf: (data: Data) => Event,
  show: (event: Event) => void = () => {},
) {
  let stop = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    const subscription = client.subscribe<Data, OperationVariables>({ query, variables }).subscribe({
      next: ({ data, error }) => {
        if (error || !data) return reject(error ?? new Error('An event without data.'));
        const event = eventOf(data);
        applyEvent(cache, event);
        return show(event);
      },
      error: reject,
      complete: resolve,
    });
    stop = () => subscription.unsubscribe();
  });
  return { ended, stop };
}

let closeConversation = () => {};

window.app = createApp({
  readList: async () => (await watch(CachedListDocument, {})).viewer.lastEventSeq,
  async readConversation(id) {
    const { conversation } = await watch(CachedOpenDocument, { id });
    if (!conversation) return null;
    closeConversation();
    const variables = { id, after: conversation.lastEventSeq };
    closeConversation = follow(CachedConversationEventsDocument, variables, (data) => data.conversationEvents).stop;
    return conversation.activeRun;
  },
  followViewer(after, show) {
    follow(
      CachedEventsDocument,
      { after },
      ({ viewerEvents }) => viewerEvents,
      (event) => show(event),
    );
  },
  followTurn: (input) => follow(CachedTurnDocument, { input }, ({ chatTurn }) => chatTurn).ended,
  followRun: (runId, after) => follow(CachedRunEventsDocument, { runId, after }, ({ runEvents }) => runEvents).ended,
  async selectBranch(messageId) {
    await client.mutate({ mutation: CachedSelectBranchDocument, variables: { messageId } });
  },
  async cancelRun(runId) {
    await client.mutate({ mutation: CachedCancelDocument, variables: { runId } });
  },
  cachedList: async () => cache.readQuery({ query: CachedListDocument })?.conversations ?? null,
  cachedConversation: async (id) => {
    // A cache that lacks a field answers null to all of it; a deleted conversation is null in it.
    const data = cache.readQuery({ query: CachedOpenDocument, variables: { id } });
    if (!data) throw new Error('The cache lacks something of the conversation.');
    return data.conversation;
  },
});
