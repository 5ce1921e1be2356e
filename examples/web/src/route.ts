import { useSyncExternalStore } from 'react';

/** What the part of the address after `#` names: a conversation, or none. */
export function useConversationId(): string | null {
  return useSyncExternalStore(subscribe, () => /^#(conv_[\w-]+)$/.exec(location.hash)?.[1] ?? null);
}

/** Opens a conversation; null: a new one. */
export function openConversation(id: string | null): void {
  location.hash = id ?? '';
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}
