import { createHash } from 'node:crypto';

/** Names of properties that all providers take (Anthropic: letters, digits, _ . and -, at most 64; Gemini: no digit first). */
const usableName = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;
const hashLength = 6;
const maxReplacedLength = 63 - hashLength;
/** Deeper values keep their names: no schema is as deep. */
const maxDepth = 100;

/**
 * The name under which models are offered a property: its own if providers take that, else one that ends in a part of its
 * hash, so that it stands for no other property.
 */
export function nameForModels(name: string): string {
  if (usableName.test(name)) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, hashLength);
  const replaced = name.replace(/[^A-Za-z0-9_.-]/g, '_').replace(/^(?=[^A-Za-z_])/, '_');
  return `${replaced.slice(0, maxReplacedLength)}_${hash}`;
}

/** The properties of a schema that models are offered under another name: by that name, their own. */
export function listRenamed(schema: unknown): ReadonlyMap<string, string> {
  const renamed = new Map<string, string>();
  const open: unknown[] = [schema];
  while (open.length > 0) {
    const node = open.pop();
    if (typeof node !== 'object' || node === null) continue;
    for (const [key, value] of Object.entries(node)) {
      if (key === 'properties' && typeof value === 'object' && value !== null) {
        for (const name of Object.keys(value)) if (!usableName.test(name)) renamed.set(nameForModels(name), name);
      }
      open.push(value);
    }
  }
  return renamed;
}

/** Arguments with the properties' own names, whichever of the two a model has used. */
export function restoreNames(
  args: Readonly<Record<string, unknown>>,
  renamed: ReadonlyMap<string, string>,
): Readonly<Record<string, unknown>> {
  return renamed.size === 0 ? args : restoreObject(args, renamed, 0);
}

function restoreObject(value: object, renamed: ReadonlyMap<string, string>, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const own = renamed.get(name);
      const restored = own === undefined || Object.hasOwn(value, own) ? name : own;
      return [restored, restore(inner, renamed, depth + 1)];
    }),
  );
}

function restore(value: unknown, renamed: ReadonlyMap<string, string>, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > maxDepth) return value;
  if (Array.isArray(value)) return value.map((item) => restore(item, renamed, depth + 1));
  return restoreObject(value, renamed, depth);
}
