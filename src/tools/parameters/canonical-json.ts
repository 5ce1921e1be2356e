/** JSON that is the same for equal values (JSON Schema 2020-12 "Core", 4.2.2), whatever the order of their keys. */
export function writeCanonically(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
