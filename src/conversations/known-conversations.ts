import { LRUCache } from 'lru-cache';
import type { Viewer } from '../auth/viewer.ts';
import type { Conversation } from '../generated/prisma/client.ts';

/** An entry is a few ids: some hundred bytes. */
const maxConversations = 10_000;

/** What a turn of a plain conversation is compiled from: one without a scenario, whose user has changed no settings. */
export type PlainConversation = Pick<Conversation, 'activeAgentId' | 'followsDefault' | 'projectId'>;

/**
 * Remembers plain conversations that this process has just written, so that their next turn need not read them. What it
 * remembers may be outdated: the statement that starts a turn compares it with the rows, and writes nothing if they differ.
 */
export class KnownConversations {
  readonly #conversations = new LRUCache<
    string,
    { readonly plain: PlainConversation; readonly lastTurn: string | null }
  >({ max: maxConversations });

  /**
   * Remembers a conversation of a viewer.
   * @param id its row id
   * @param lastTurn the idempotency key of its last turn; null: it has had none
   */
  remember(
    viewer: Viewer,
    id: string,
    { activeAgentId, followsDefault, projectId }: PlainConversation,
    lastTurn: string | null = null,
  ): void {
    this.#conversations.set(keyOf(viewer, id), { plain: { activeAgentId, followsDefault, projectId }, lastTurn });
  }

  /**
   * Returns what is remembered, and forgets it: whoever finds it true remembers it again.
   * @param idempotencyKey that of the next turn: null is returned for that of the last one, to which a client comes back
   */
  take(viewer: Viewer, id: string, idempotencyKey: string): PlainConversation | null {
    const key = keyOf(viewer, id);
    const known = this.#conversations.get(key);
    if (known === undefined || known.lastTurn === idempotencyKey) return null;
    this.#conversations.delete(key);
    return known.plain;
  }
}

function keyOf({ tenantId, userId }: Viewer, id: string): string {
  return JSON.stringify([tenantId, userId, id]);
}
