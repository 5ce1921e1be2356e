import {
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isInterfaceType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  isUnionType,
} from 'graphql';

/**
 * Selections that together reach every field below an object, found by introspection: each field that leads to another
 * object once, on the shortest way to it, with all leaf fields of what is there. Fields that require arguments are left out.
 * @param name of the type of the object
 */
export function listSelections(schema: GraphQLSchema, name: string): readonly string[] {
  const first = schema.getType(name);
  if (!isObjectType(first)) throw new Error(`${name} is no object type.`);
  const selections = [selectLeaves(first)];
  const reached = new Set([name]);
  const open = [{ type: first, wrap: (selection: string) => selection }];
  for (const { type, wrap } of open) {
    for (const field of listFields(type)) {
      for (const target of findObjects(schema, field)) {
        const wrapped = (selection: string) => wrap(`${field.name} { ... on ${target.name} { ${selection} } }`);
        selections.push(wrapped(selectLeaves(target)));
        if (reached.has(target.name)) continue;
        reached.add(target.name);
        open.push({ type: target, wrap: wrapped });
      }
    }
  }
  return selections;
}

const listFields = (type: GraphQLObjectType) =>
  Object.values(type.getFields()).filter(({ args }) => !args.some(isRequiredArgument));

function selectLeaves(type: GraphQLObjectType): string {
  const leaves = listFields(type).filter((field) => isLeafType(getNamedType(field.type)));
  return ['__typename', ...leaves.map(({ name }) => name)].join(' ');
}

function findObjects(schema: GraphQLSchema, { type }: GraphQLField<unknown, unknown>): readonly GraphQLObjectType[] {
  const named = getNamedType(type);
  if (isObjectType(named)) return [named];
  return isInterfaceType(named) || isUnionType(named) ? schema.getPossibleTypes(named) : [];
}
