import { LRUCache } from 'lru-cache';

const maxDocuments = 500;
const maxDocumentLength = 20_000;

/** Caches the 500 documents that were used last. A document of more than 20,000 characters is not cached. */
export function createDocumentCache<T extends object>() {
  const cache = new LRUCache<string, T>({ max: maxDocuments });
  return {
    get: (document: string): T | undefined => cache.get(document),
    set(document: string, value: T): void {
      if (document.length <= maxDocumentLength) cache.set(document, value);
    },
  };
}
