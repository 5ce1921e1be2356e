import type { Tool } from '../tools/contract/tool.ts';

/** The ids that references of a snapshot stand for, by reference. */
export type ReferenceMap = Readonly<Record<string, string>>;

/** Arguments that are nested deeper are passed on as they are: no tool has such. */
const maxDepth = 100;

/**
 * Tools that can be called with the references of a snapshot: an argument that is exactly one is replaced by its id, at
 * any depth, when the call is checked and made.
 */
export function resolveReferences(
  tools: ReadonlyMap<string, Tool>,
  references: ReferenceMap | undefined,
): ReadonlyMap<string, Tool> {
  if (references === undefined) return tools;
  const ids = new Map(Object.entries(references));
  if (ids.size === 0) return tools;
  return new Map(
    [...tools].map(([name, tool]): [string, Tool] => [
      name,
      {
        ...tool,
        check: (args, viewer) => tool.check(replace(args, ids), viewer),
        call: (args, context) => tool.call(replace(args, ids), context),
      },
    ]),
  );
}

function replace(value: unknown, ids: ReadonlyMap<string, string>, depth = 0): unknown {
  if (typeof value === 'string') return ids.get(value) ?? value;
  if (typeof value !== 'object' || value === null || depth >= maxDepth) return value;
  if (Array.isArray(value)) return value.map((item) => replace(item, ids, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replace(item, ids, depth + 1)]));
}
