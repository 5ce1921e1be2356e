import DataLoader from 'dataloader';
import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import type { Context } from './context.ts';

/**
 * Makes the resolver of a field that loads its values for all objects of a list together, in a constant number of
 * statements.
 * @param keyOf tells the objects apart
 * @param load returns the values, or errors, in the order of the objects
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
    readonly loader: DataLoader<Parent, Value, string>;
  }
  return (parent: Parent, args: Args, context: Context, info: GraphQLResolveInfo): Promise<Value> => {
    const ofContext = loaders.get(context) ?? [];
    loaders.set(context, ofContext);
    const nodes = info.fieldNodes;
    const known = ofContext.find((entry) => areSame(entry.nodes, nodes));
    if (known) return known.loader.load(parent);
    const loader = new DataLoader<Parent, Value, string>((parents) => load(parents, args, context, info), {
      cacheKeyFn: keyOf,
    });
    ofContext.push({ nodes, loader });
    return loader.load(parent);
  };
}

function areSame(one: readonly FieldNode[], other: readonly FieldNode[]): boolean {
  return one.length === other.length && one.every((node, index) => node === other[index]);
}
