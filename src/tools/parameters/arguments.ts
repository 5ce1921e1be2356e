import { maxJsonLength } from './schema-bounds.ts';

/** The error for the model if `readArguments` returns null. */
export const invalidArguments = `The arguments must be one JSON object of at most ${maxJsonLength} characters.`;

/**
 * Arguments as an object of bounded size; null if they are not one. For a tool without arguments, models also write null, an
 * empty text or an empty list.
 */
export function readArguments(args: unknown): Readonly<Record<string, unknown>> | null {
  if (args === null || args === '' || (Array.isArray(args) && args.length === 0)) return {};
  if (typeof args !== 'object' || Array.isArray(args)) return null;
  return JSON.stringify(args).length > maxJsonLength ? null : { ...args };
}

/**
 * How many values a JSON value holds, itself included; null: more than `max`. Not recursive, since the value may be
 * nested very deep.
 */
export function countValues(value: unknown, max: number): number | null {
  let count = 0;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    count += 1;
    if (count + open.length > max) return null;
    if (typeof next === 'object' && next !== null) for (const part of Object.values(next)) open.push(part);
  }
  return count;
}
