/** What an event of `viewerEvents` says of a list of conversations. Others concern objects that a cache finds by their id. */
type ListEvent<Edge> =
  | { readonly __typename: 'ConversationCreated'; readonly conversationId: string; readonly edge: Edge }
  | { readonly __typename: 'ConversationDeleted'; readonly conversationId: string }
  | { readonly __typename: 'AgentSwitched' | 'ConversationUpdated' | 'MessageAdded' | 'RunChanged' };

/**
 * Applies an event of `viewerEvents` to a cached page of `conversations`: a new conversation is put at its beginning, a
 * deleted one is removed. An event that arrives twice changes nothing.
 * @returns the page itself if nothing changes
 */
export function applyToList<
  Edge extends { readonly node: { readonly id: string } },
  List extends { readonly edges: readonly Edge[] },
>(list: List & { readonly edges: readonly Edge[] }, event: ListEvent<Edge>): List {
  if (event.__typename !== 'ConversationCreated' && event.__typename !== 'ConversationDeleted') return list;
  const isThere = list.edges.some(({ node }) => node.id === event.conversationId);
  if (event.__typename === 'ConversationCreated') {
    return isThere ? list : { ...list, edges: [event.edge, ...list.edges] };
  }
  return isThere ? { ...list, edges: list.edges.filter(({ node }) => node.id !== event.conversationId) } : list;
}

/** What an event of `viewerEvents` or `conversationEvents` says of a list of messages. */
type MessageEvent<Edge> =
  | { readonly __typename: 'MessageAdded'; readonly edge: Edge }
  | { readonly __typename: Exclude<ListEvent<never>['__typename'], 'MessageAdded'> };

/**
 * Applies an event to a cached page of `Conversation.messages` in ascending order: a new message is put at its end.
 * @returns the page itself if nothing changes
 */
export function applyToMessages<
  Edge extends { readonly node: { readonly id: string } },
  List extends { readonly edges: readonly Edge[] },
>(list: List & { readonly edges: readonly Edge[] }, event: MessageEvent<Edge>): List {
  if (event.__typename !== 'MessageAdded' || list.edges.some(({ node }) => node.id === event.edge.node.id)) return list;
  return { ...list, edges: [...list.edges, event.edge] };
}
