import { parseExactJson } from '../engine/exact-json.ts';
import { isDeeperThan } from '../engine/json.ts';
import { mapJson } from './map-json.ts';

/** What walks a value goes no deeper. */
const maxDepth = 100;

/**
 * Reads arguments as a model wrote them. A number that would be rounded is read as it was written.
 * @returns undefined: they are not JSON, or nested too deep; `isWhole` is false if they say more than what was read: of a
 *   key that an object has twice, only the last value is read, and what was written must not be passed on
 */
export function parseArguments(written: string): { readonly value: unknown; readonly isWhole: boolean } | undefined {
  if (isDeeperThan(written, maxDepth)) return undefined;
  try {
    const { value } = parseExactJson(written);
    return { value, isWhole: !hasRepeatedKeys(written, value) };
  } catch {
    return undefined;
  }
}

/** Replaces every text of arguments as a model wrote them. What is not JSON is one text. */
export function mapArguments(written: string, map: (text: string) => string): string {
  const parsed = parseArguments(written);
  if (parsed === undefined) return map(written);
  const mapped = JSON.stringify(mapJson(parsed.value, map));
  return parsed.isWhole && mapped === JSON.stringify(parsed.value) ? written : mapped;
}

/** Of a key that an object has twice, only the last value is read: what the others say was not checked. */
function hasRepeatedKeys(written: string, value: unknown): boolean {
  const keys = [...written.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter(([, colon]) => colon !== undefined);
  return keys.length !== countKeys(value);
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce<number>((sum, entry) => sum + countKeys(entry), own);
}
