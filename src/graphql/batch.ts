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
  // A field of a document has the same arguments and selection on all objects.
  const loaders = new WeakMap<Context, Map<FieldNode, DataLoader<Parent, Value, string>>>();
  return (parent: Parent, args: Args, context: Context, info: GraphQLResolveInfo): Promise<Value> => {
    const ofContext = loaders.get(context) ?? new Map<FieldNode, DataLoader<Parent, Value, string>>();
    loaders.set(context, ofContext);
    const [node] = info.fieldNodes;
    if (node === undefined) throw new Error('A field is resolved without its node in the document.');
    let loader = ofContext.get(node);
    if (loader === undefined) {
      loader = new DataLoader((parents) => load(parents, args, context, info), { cacheKeyFn: keyOf });
      ofContext.set(node, loader);
    }
    return loader.load(parent);
  };
}
