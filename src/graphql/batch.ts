import DataLoader from 'dataloader';
import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import type { Context } from './context.ts';

/**
 * Makes the resolver of a field that loads its values for all objects of a list together, in a constant number of
 * statements. Nothing is cached: a later field of the same mutation reads again.
 * @param keyOf tells the objects apart
 * @param load returns the values, or errors, in the order of the objects, each of which it gets once
 */
export function batchField<Parent, Args, Value>(
  keyOf: (parent: Parent) => string,
  load: (
    parents: readonly Parent[],
    args: Args,
    context: Context,
    info: GraphQLResolveInfo,
  ) => Promise<readonly (Value | Error)[]>,
) {
  // A field of a document has the same arguments and selection on all objects, unless a document selects it again on some of
  // them: then it consists of more nodes there.
  const loaders = new WeakMap<Context, NodesLoader[]>();
  interface NodesLoader {
    readonly nodes: readonly FieldNode[];
    readonly loader: DataLoader<Parent, Value>;
  }
  return (parent: Parent, args: Args, context: Context, info: GraphQLResolveInfo): Promise<Value> => {
    const ofContext = loaders.get(context) ?? [];
    loaders.set(context, ofContext);
    const nodes = info.fieldNodes;
    const known = ofContext.find((entry) => areSame(entry.nodes, nodes));
    if (known) return known.loader.load(parent);
    const loader = new DataLoader<Parent, Value>(
      (parents) => loadEachOnce(parents, keyOf, (each) => load(each, args, context, info)),
      { cache: false },
    );
    ofContext.push({ nodes, loader });
    return loader.load(parent);
  };
}

function areSame(one: readonly FieldNode[], other: readonly FieldNode[]): boolean {
  return one.length === other.length && one.every((node, index) => node === other[index]);
}

/** Loads the values of objects of which some may be the same. */
async function loadEachOnce<Parent, Value>(
  parents: readonly Parent[],
  keyOf: (parent: Parent) => string,
  load: (parents: readonly Parent[]) => Promise<readonly (Value | Error)[]>,
): Promise<(Value | Error)[]> {
  const places = new Map<string, number>();
  const each: Parent[] = [];
  const placeOf = parents.map((parent) => {
    const key = keyOf(parent);
    const place = places.get(key) ?? each.push(parent) - 1;
    places.set(key, place);
    return place;
  });
  const values = await load(each);
  return placeOf.map((place) => {
    const value = values[place];
    return value === undefined ? new Error('A field has no value for an object.') : value;
  });
}
