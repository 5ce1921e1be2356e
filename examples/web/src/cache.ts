import type { Cache, CacheExchangeOpts } from '@urql/exchange-graphcache';
import { keys, schema } from './generated/graphcache.ts';
import { type ConversationChangesSubscription, ThreadDocument, type ThreadQuery } from './generated/graphql.ts';

type Change = ConversationChangesSubscription['conversationEvents'];

/** The options of graphcache: objects with an id are one object wherever they appear. */
export const cacheOptions: CacheExchangeOpts = {
  ...(keys && { keys }),
  ...(schema && { schema }),
  updates: {
    Subscription: {
      conversationEvents: (data: ConversationChangesSubscription, _args, cache) =>
        applyChange(cache, data.conversationEvents),
    },
    Mutation: {
      deleteConversation: (_data, { id }: { readonly id: string }, cache) =>
        cache.invalidate({ __typename: 'Conversation', id }),
    },
  },
};

/** A new message is appended to the list that is shown, if it follows the last one. If it begins a branch, the list is read again. */
function applyChange(cache: Cache, change: Change): void {
  if (change.__typename !== 'MessageAdded') return;
  const { edge, conversationId: id } = change;
  cache.updateQuery<ThreadQuery, { id: string }>({ query: ThreadDocument, variables: { id } }, (data) => {
    if (!data?.conversation) return data;
    const { messages } = data.conversation;
    if (messages.edges.some(({ node }) => node.id === edge.node.id)) return data;
    const last = messages.edges.at(-1)?.node.id ?? null;
    if ((edge.node.parent?.id ?? null) !== last) {
      cache.invalidate({ __typename: 'Conversation', id }, 'messages', { last: 40 });
      return null;
    }
    const edges = [...messages.edges, edge];
    return { ...data, conversation: { ...data.conversation, messages: { ...messages, edges } } };
  });
}
