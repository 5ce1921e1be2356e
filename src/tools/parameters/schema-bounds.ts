/** The most characters of a JSON Schema, and of the arguments of one call, as JSON. */
export const maxJsonLength = 65_536;
/** How deep a JSON Schema may be nested. */
const maxDepth = 40;
/** How many subschemas there may be when every `$ref` is expanded: arguments must be checked quickly. */
const maxSubschemas = 5_000;

/** A JSON Schema that arguments cannot be checked against. The message is the end of a sentence: "must …". */
export class SchemaUnsupportedError extends Error {
  override readonly name = 'SchemaUnsupportedError';
}

/** Keywords whose targets cannot be found by reading the schema. */
const unsupportedKeywords = new Set(['$id', '$anchor', '$dynamicRef', '$dynamicAnchor', '$recursiveRef']);

/**
 * Counts the subschemas of a schema with every `$ref` expanded; the entries of lists (enum, required) count as well.
 * @throws {SchemaUnsupportedError} when there are too many, they are nested too deep, or a reference cannot be followed
 */
export function countSubschemas(schema: unknown): number {
  return count(schema, schema, [], 0);
}

function count(node: unknown, root: unknown, through: readonly string[], depth: number): number {
  if (typeof node !== 'object' || node === null) return 0;
  if (depth > maxDepth)
    throw new SchemaUnsupportedError(`must not be nested deeper than ${maxDepth}, its references included`);
  let total = 1;
  const add = (more: number) => {
    total += more;
    if (total > maxSubschemas) throw new SchemaUnsupportedError(`must have at most ${maxSubschemas} parts`);
  };
  if (Array.isArray(node)) {
    for (const item of node) add(Math.max(1, count(item, root, through, depth + 1)));
    return total;
  }
  for (const [key, value] of Object.entries(node)) {
    if (unsupportedKeywords.has(key) && typeof value !== 'object') {
      throw new SchemaUnsupportedError(`must not use ${key}`);
    }
    if (key === '$ref' && typeof value === 'string') {
      if (through.includes(value)) throw new SchemaUnsupportedError(`must not refer to itself: ${value.slice(0, 100)}`);
      add(count(followPointer(root, value), root, [...through, value], depth + 1));
    } else if (key !== '$defs' && key !== 'definitions') {
      add(count(value, root, through, depth + 1));
    }
  }
  return total;
}

/**
 * The target of a reference: a JSON pointer (RFC 6901) into the same schema.
 * @throws {SchemaUnsupportedError} when it points to nothing in it
 */
export function followPointer(root: unknown, reference: string): unknown {
  const unsupported = new SchemaUnsupportedError(`refers to ${reference.slice(0, 100)}, which is not in it`);
  if (reference === '#') return root;
  if (!reference.startsWith('#/')) throw unsupported;
  let node = root;
  for (const step of reference.slice(2).split('/')) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) throw unsupported;
    node = Object.entries(node).find(([name]) => name === key)?.[1];
  }
  return node;
}
