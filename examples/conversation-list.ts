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

/**
 * Adds the `edge` of `RunStarted`, `MessageStarted` or `MessageAdded` to a cached page of `Conversation.messages` in
 * ascending order: by its position, if the documents select it, else at the end. An edge that is there stays as it is.
 * @param ofTurn whether a turn brings it: then what stands in its position, and all after that, is of another branch, and is removed
 * @returns the page itself if nothing changes
 */
export function addMessage<
  Edge extends { readonly node: { readonly id: string; readonly position?: number | null } },
  List extends { readonly edges: readonly Edge[] },
>(list: List & { readonly edges: readonly Edge[] }, edge: Edge, ofTurn = false): List {
  if (list.edges.some(({ node }) => node.id === edge.node.id)) return list;
  const placeOf = ({ node }: Edge) => node.position ?? Infinity;
  const { position } = edge.node;
  const fork = ofTurn && position != null ? list.edges.findIndex(({ node }) => node.position === position) : -1;
  if (fork >= 0) return { ...list, edges: [...list.edges.slice(0, fork), edge] };
  const next = list.edges.findIndex((other) => placeOf(other) > placeOf(edge));
  const end = next < 0 ? list.edges.length : next;
  return { ...list, edges: [...list.edges.slice(0, end), edge, ...list.edges.slice(end)] };
}
