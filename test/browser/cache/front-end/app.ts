/**
 * What the pages of this folder put on `window.app`, and all that the tests know of them. Each page is
 * one client library with its normalised cache: `page-apollo.ts`, `page-urql.ts`, `page-relay.ts`. The tests
 * act on the page, or as another tab beside it, and then compare its cache with what the server answers to a fresh read.
 * Data have the shape of the answers; `__typename` and keys like it are ignored.
 *
 * A page sends the operations of examples/cache.graphql (Relay: the same selections under names of its own), once each:
 *  - start: the query `CachedList`, then the subscription `viewerEvents` after its `viewer.lastEventSeq`
 *  - open: the query `CachedOpen`, then `conversationEvents` after its `lastEventSeq`, and `runEvents` of its `activeRun`,
 *    if there is one, after that run's `lastSeq`
 *  - send: the subscription `chatTurn`
 *  - edit, regenerate: the subscription `chatTurn`
 *  - select: the mutation `selectBranch`
 *  - cancel: the mutation `cancelRun`
 *  - and `runEvents` of a run of the open conversation that another tab began, when RunChanged reports it.
 * Both queries are watched, as components watch them: if the cache lost a field, the library would ask again, and the
 * tests see every request, because all goes through a proxy (page-proxy.ts). Sockets come back at once and without end.
 */
export interface CacheApp {
  /** Reads the list of conversations, watches it, and keeps it in step. */
  start(): Promise<void>;
  /** Reads a conversation, watches it, and follows its unfinished run. */
  open(conversationId: string): Promise<void>;
  /** Sends a message in the open conversation. Resolves when the terminal event of the turn has been applied. */
  send(content: string): Promise<void>;
  /** Sends a message in the place of another one. Resolves as `send` does. */
  edit(messageId: string, content: string): Promise<void>;
  /** Has an answer made again. Resolves as `send` does. */
  regenerate(messageId: string): Promise<void>;
  /** Makes the branch of a message the active one. */
  select(messageId: string): Promise<void>;
  /** Cancels the unfinished run of the open conversation. */
  cancel(): Promise<void>;
  /** `conversations` of `CachedList`, from the cache alone. */
  list(): Promise<unknown>;
  /** `conversation` of `CachedOpen` for the open conversation, from the cache alone; null after it was deleted. */
  conversation(): Promise<unknown>;
}

declare global {
  interface Window {
    /** Put there by the page when it has loaded. */
    app?: CacheApp;
    /** Put there by the test before the page loads: the access token of the user. */
    token: string;
  }
}
