/** Replaces each text, key and number of a JSON value by what a function makes of it; a number stays one if it is not changed. */
export function mapJson(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (typeof value === 'number') {
    const written = String(value);
    const mapped = map(written);
    return mapped === written ? value : mapped;
  }
  if (Array.isArray(value)) return value.map((item) => mapJson(item, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [map(key), mapJson(entry, map)]));
}
