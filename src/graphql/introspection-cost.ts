import {
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  getOperationAST,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  Kind,
  type SelectionSetNode,
} from 'graphql';

/** How many objects the lists of introspection have, on average; at least one. */
type Counts = Readonly<Record<string, number>>;

/** Estimates how many objects the introspection in a document returns; `__typename` is free. */
export type CountIntrospection = (document: DocumentNode, operationName: string | null | undefined) => number;

/** The roots of introspection. */
const roots: ReadonlySet<string> = new Set(['__schema', '__type']);
/** From these, one gets to all types, to one type, and from a field to its type. Of one type, it may be the largest. */
const toAll: ReadonlySet<string> = new Set(['types', 'possibleTypes', 'type', 'ofType', 'interfaces']);

/** Creates the estimate for a schema, which does not change. */
export function createIntrospectionCount(schema: GraphQLSchema): CountIntrospection {
  const { average, largest } = countLists(schema);
  return (document, operationName) => {
    const fragments = new Map(
      document.definitions.flatMap((node) =>
        node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node] as const] : [],
      ),
    );
    const operation = getOperationAST(document, operationName);
    if (!operation) return 0;
    return countRoots(operation.selectionSet, fragments, new Set());
  };

  function countRoots(set: SelectionSetNode, fragments: Fragments, seen: Set<string>): number {
    return sum(set.selections, (selection) => {
      if (selection.kind === Kind.INLINE_FRAGMENT) return countRoots(selection.selectionSet, fragments, seen);
      if (selection.kind === Kind.FIELD) {
        return roots.has(selection.name.value) && selection.selectionSet
          ? 1 + count(selection.selectionSet, largest, fragments, new Map())
          : 0;
      }
      const name = selection.name.value;
      const fragment = fragments.get(name);
      if (!fragment || seen.has(name)) return 0;
      seen.add(name);
      return countRoots(fragment.selectionSet, fragments, seen);
    });
  }

  /** @param counted the fragments that were counted before, by name: a document that spreads one twice is not walked twice */
  function count(set: SelectionSetNode, counts: Counts, fragments: Fragments, counted: Map<string, number>): number {
    return sum(set.selections, (selection) => {
      if (selection.kind === Kind.INLINE_FRAGMENT) return count(selection.selectionSet, counts, fragments, counted);
      if (selection.kind === Kind.FIELD) {
        const name = selection.name.value;
        if (!selection.selectionSet) return 0;
        const inside = count(selection.selectionSet, toAll.has(name) ? average : counts, fragments, counted);
        return (counts[name] ?? 1) * (1 + inside);
      }
      const name = selection.name.value;
      const key = `${name} ${counts === average}`;
      const fragment = fragments.get(name);
      const known = counted.get(key) ?? (fragment ? count(fragment.selectionSet, counts, fragments, counted) : 0);
      counted.set(key, known);
      return known;
    });
  }
}

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>;

function countLists(schema: GraphQLSchema): { readonly average: Counts; readonly largest: Counts } {
  const types = Object.values(schema.getTypeMap());
  const fieldsOf = types.flatMap((type) =>
    isObjectType(type) || isInterfaceType(type) ? [Object.values(type.getFields())] : [],
  );
  const sizes = {
    fields: fieldsOf.map((fields) => fields.length),
    args: fieldsOf.flat().map(({ args }) => args.length),
    inputFields: types.flatMap((type) => (isInputObjectType(type) ? [Object.keys(type.getFields()).length] : [])),
    enumValues: types.flatMap((type) => (isEnumType(type) ? [type.getValues().length] : [])),
  };
  const all = { types: types.length, directives: schema.getDirectives().length };
  // Types of one kind have lists that others lack: what a list has on average, it has for each type.
  const perType = (list: readonly number[]) => Math.max(1, sum(list, (size) => size) / types.length);
  const { args, ...ofTypes } = sizes;
  return {
    average: {
      ...all,
      ...Object.fromEntries(Object.entries(ofTypes).map(([name, list]) => [name, perType(list)])),
      args: Math.max(1, sum(args, (size) => size) / Math.max(1, args.length)),
    },
    largest: {
      ...all,
      ...Object.fromEntries(Object.entries(sizes).map(([name, list]) => [name, Math.max(1, ...list)])),
    },
  };
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
