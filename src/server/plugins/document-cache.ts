const maxDocuments = 500;
const maxDocumentLength = 20_000;

/** Keeps the documents that clients send again and again: the last 500, none longer than 20,000 characters. */
export function createDocumentCache<T>(): { get(key: string): T | undefined; set(key: string, value: T): void } {
  const kept = new Map<string, T>();
  return {
    get(key) {
      const value = kept.get(key);
      if (value === undefined) return undefined;
      kept.delete(key);
      kept.set(key, value);
      return value;
    },
    set(key, value) {
      if (key.length > maxDocumentLength) return;
      kept.delete(key);
      kept.set(key, value);
      const [oldest] = kept.keys();
      if (kept.size > maxDocuments && oldest !== undefined) kept.delete(oldest);
    },
  };
}
