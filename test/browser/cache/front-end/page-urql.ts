import type { AnyVariables, TypedDocumentNode } from 'urql';
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
import { openCachedClient } from './urql-graphcache.ts';

const client = openCachedClient(`${location.origin}/graphql`, async () => window.token, socketOptions);

/** Watches a query, as useQuery does. Resolves with its first answer. */
function watch<Data, Variables extends AnyVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  return new Promise((resolve, reject) => {
    client.query(query, variables).subscribe(({ data, error }) => {
      if (data) resolve(data);
      else reject(error);
    });
  });
}

/** Follows a stream, whose events graphcache applies. */
function follow<Data, Variables extends AnyVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  show: (data: Data) => void = () => {},
) {
  let stop = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    const { unsubscribe } = client.subscription(query, variables).subscribe(({ data, error, hasNext }) => {
      if (error) return reject(error);
      // At the end, urql repeats the last event without `hasNext`.
      if (!hasNext) return resolve();
      return data && show(data);
    });
    stop = unsubscribe;
  });
  return { ended, stop };
}

/** Reads from the cache alone. */
async function readCached<Data, Variables extends AnyVariables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const { data, stale } = await client.query(query, variables, { requestPolicy: 'cache-only' });
  if (!data || stale) throw new Error('The cache lacks something of the query.');
  return data;
}

let closeConversation = () => {};

window.app = createApp({
  readList: async () => (await watch(CachedListDocument, {})).viewer.lastEventSeq,
  async readConversation(id) {
    const { conversation } = await watch(CachedOpenDocument, { id });
    if (!conversation) return null;
    closeConversation();
    closeConversation = follow(CachedConversationEventsDocument, { id, after: conversation.lastEventSeq }).stop;
    return conversation.activeRun;
  },
  followViewer(after, show) {
    follow(CachedEventsDocument, { after }, ({ viewerEvents }) => show(viewerEvents));
  },
  followTurn: (input) => follow(CachedTurnDocument, { input }).ended,
  followRun: (runId, after) => follow(CachedRunEventsDocument, { runId, after }).ended,
  async selectBranch(messageId) {
    const { error } = await client.mutation(CachedSelectBranchDocument, { messageId });
    if (error) throw error;
  },
  async cancelRun(runId) {
    const { error } = await client.mutation(CachedCancelDocument, { runId });
    if (error) throw error;
  },
  cachedList: async () => (await readCached(CachedListDocument, {})).conversations,
  cachedConversation: async (id) => (await readCached(CachedOpenDocument, { id })).conversation,
});
