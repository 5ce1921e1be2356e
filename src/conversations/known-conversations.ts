import { LRUCache } from 'lru-cache';
import type { Viewer } from '../auth/viewer.ts';
import type { Conversation } from '../generated/prisma/client.ts';

/** An entry is a few ids: some hundred bytes. */
const maxConversations = 10_000;

/** What a turn of a plain conversation is compiled from: one without a scenario, whose user has changed no settings. */
export type PlainConversation = Pick<Conversation, 'activeAgentId' | 'followsDefault'>;

/**
 * Remembers plain conversations that this process has just written, so that their next turn need not read them. What it
 * remembers may be outdated: the statement that starts a turn compares it with the rows, and writes nothing if they differ.
 */
export class KnownConversations {
  readonly #conversations = new LRUCache<string, PlainConversation>({ max: maxConversations });

  /** Remembers a conversation of a viewer. @param id its row id */
  remember(viewer: Viewer, id: string, { activeAgentId, followsDefault }: PlainConversation): void {
    this.#conversations.set(keyOf(viewer, id), { activeAgentId, followsDefault });
  }

  /** Returns what is remembered, and forgets it: whoever finds it true remembers it again. */
  take(viewer: Viewer, id: string): PlainConversation | null {
    const key = keyOf(viewer, id);
    const known = this.#conversations.get(key) ?? null;
    this.#conversations.delete(key);
    return known;
  }
}

function keyOf({ tenantId, userId }: Viewer, id: string): string {
  return JSON.stringify([tenantId, userId, id]);
}
