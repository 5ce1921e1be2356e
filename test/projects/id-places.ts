import {
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql';

/** A place in the schema where an id goes in: an argument, or a field of an input object below one. */
export interface IdPlace {
  /** `Mutation.createScenario(input.agents.agentId)` */
  readonly at: string;
  readonly root: 'query' | 'mutation' | 'subscription';
  readonly field: string;
  /** The path from the arguments to the id, without the positions in lists. */
  readonly path: readonly string[];
}

/** Texts that end in Id and name no object of the API. */
const noIds: ReadonlySet<string> = new Set(['userId', 'callId', 'itemId']);

/**
 * Every place of the schema where an id of an object goes in, found by introspection: the type ID, and texts whose names end
 * in Id.
 * @returns the places below root fields, and the names of those below other fields, which no test reaches
 */
export function listIdPlaces(schema: GraphQLSchema): { readonly places: IdPlace[]; readonly deep: string[] } {
  const roots = [
    ['query', schema.getQueryType()],
    ['mutation', schema.getMutationType()],
    ['subscription', schema.getSubscriptionType()],
  ] as const;
  const places = roots.flatMap(([root, type]) =>
    Object.values(type?.getFields() ?? {}).flatMap(({ name, args }) =>
      findPaths(args).map((path) => ({ at: `${type?.name}.${name}(${path.join('.')})`, root, field: name, path })),
    ),
  );
  const rootNames = new Set(roots.map(([, type]) => type?.name));
  const deep = Object.values(schema.getTypeMap()).flatMap((type) =>
    isObjectType(type) && !rootNames.has(type.name) && !type.name.startsWith('__')
      ? Object.values(type.getFields()).flatMap(({ name, args }) =>
          findPaths(args).map((path) => `${type.name}.${name}(${path.join('.')})`),
        )
      : [],
  );
  return { places, deep };
}

type Input = GraphQLArgument | GraphQLInputField;

function findPaths(inputs: readonly Input[], above: readonly string[] = []): string[][] {
  return inputs.flatMap(({ name, type }) => {
    const named = getNamedType(type);
    const path = [...above, name];
    if (isInputObjectType(named)) return findPaths(Object.values(named.getFields()), path);
    const isId = named.name === 'ID' || (named.name === 'String' && /(^|[a-z])Ids?$/.test(name) && !noIds.has(name));
    return isId ? [path] : [];
  });
}

/** Values for what else an operation requires: by the name of the field, and ids of the viewer's own objects. */
export interface OtherValues {
  /** @returns undefined: there is no value of that name, and a usual one is taken */
  text(name: string): unknown;
  id(path: readonly string[]): string;
}

/**
 * The smallest document that has an id in a place, with its variables.
 * @param given arguments as they are to be, in place of made ones
 */
export function writeDocument(
  schema: GraphQLSchema,
  place: IdPlace,
  id: string,
  others: OtherValues,
  given: Readonly<Record<string, unknown>> = {},
) {
  const { root, field, path } = place;
  const type = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  };
  const definition = type[root]?.getFields()[field];
  if (definition === undefined) throw new Error(`The schema has no field ${place.at}.`);
  const used = definition.args.filter((arg) => arg.name === path[0] || arg.name in given || isRequiredArgument(arg));
  const variables = Object.fromEntries(
    used.map((arg) => [arg.name, given[arg.name] ?? fill(arg, path, id, others, [])]),
  );
  const declared = used.map((arg) => `$${arg.name}: ${arg.type}`).join(', ');
  const passed = used.map(({ name }) => `${name}: $${name}`).join(', ');
  const selection = isLeafType(getNamedType(definition.type)) ? '' : ' { __typename }';
  return { document: `${root} (${declared}) { ${field}(${passed})${selection} }`, variables };
}

/** A value for an input: with the id, if it is on the path to it. */
function fill(
  { name, type }: Input,
  path: readonly string[],
  id: string,
  others: OtherValues,
  above: readonly string[],
): unknown {
  const isOnPath = path[0] === name;
  const value = fillNamed(name, type, isOnPath ? path.slice(1) : [], isOnPath ? id : null, others, [...above, name]);
  return isListType(getNullableType(type)) ? [value] : value;
}

/** Fields that are needed although they may be null: a turn needs a text, unless it makes an answer again. */
function isNeeded(type: string, field: string, given: string | undefined): boolean {
  return type === 'ChatTurnInput' && field === 'content' && given !== 'regenerateMessageId';
}

function fillNamed(
  name: string,
  type: GraphQLInputType,
  path: readonly string[],
  id: string | null,
  others: OtherValues,
  above: readonly string[],
): unknown {
  const named = getNamedType(type);
  if (isInputObjectType(named)) {
    const fields = Object.values(named.getFields());
    const [first] = fields;
    const isUsed = (field: GraphQLInputField) =>
      field.name === path[0] || isRequiredInputField(field) || isNeeded(named.name, field.name, path[0]);
    const used = fields.filter(isUsed);
    const chosen = named.isOneOf && used.length === 0 && first ? [first] : used;
    return Object.fromEntries(chosen.map((field) => [field.name, fill(field, path, id ?? '', others, above)]));
  }
  if (id !== null && path.length === 0) return id;
  if (named.name === 'ID') return others.id(above);
  if (isEnumType(named)) return others.text(name) ?? named.getValues()[0]?.name;
  const usual: Readonly<Record<string, unknown>> = {
    Int: 1,
    Float: 0.5,
    Boolean: true,
    JSON: {},
    DateTime: '2026-11-28T12:00:00Z',
  };
  return others.text(name) ?? usual[named.name] ?? 'text';
}
