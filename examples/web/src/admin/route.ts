import { useSyncExternalStore } from 'react';

/** What follows `/admin/` in the address, piece by piece: `['agents', 'agt_…']`. */
export function useAdminPath(): readonly string[] {
  const path = useSyncExternalStore(subscribe, () => location.pathname);
  return path.split('/').slice(2).filter(Boolean);
}

/** The address of an admin page: `toAdmin('agents', id)`. */
export const toAdmin = (...pieces: readonly string[]): string => ['/admin', ...pieces].join('/');

/** Opens an admin page without loading the document again. */
export function openAdmin(...pieces: readonly string[]): void {
  history.pushState(null, '', toAdmin(...pieces));
  window.dispatchEvent(new PopStateEvent('popstate'));
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('popstate', listener);
  return () => window.removeEventListener('popstate', listener);
}
