import { readFileSync } from 'node:fs';
import { buildSchema, type IntrospectionType, introspectionFromSchema, isObjectType } from 'graphql';

/**
 * The configuration of the GraphQL Code Generator for a front end. Copy this file and schema.graphql next to the
 * front end's package.json, then run `npx graphql-codegen`. It reads the documents in `src/` and writes their types, and
 * what caches must know of the schema, into `src/generated/`.
 */
const config = {
  schema: 'schema.graphql',
  documents: ['src/**/*.graphql'],
  generates: {
    'src/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        enumType: 'string-literal',
        scalars: { DateTime: 'string', JSON: 'unknown', File: 'File' },
        strictScalars: true,
      },
    },
    // For Apollo Client: the types of interfaces and unions.
    'src/generated/possible-types.ts': {
      plugins: ['fragment-matcher'],
    },
    // For Apollo Client: how what has no id is merged.
    'src/generated/type-policies.ts': {
      plugins: [{ add: { content: describeForApollo('schema.graphql') } }],
    },
    // For graphcache of urql: the same, and the types without an id.
    'src/generated/graphcache.ts': {
      plugins: [{ add: { content: describeForGraphcache('schema.graphql') } }],
    },
  },
};

export default config;

/** The type policies of Apollo Client, as a module. */
function describeForApollo(path: string): string {
  const schema = buildSchema(readFileSync(path, 'utf8'));
  const subscription = schema.getSubscriptionType();
  const roots = [schema.getQueryType(), schema.getMutationType(), subscription];
  // An event takes the place of the one before it; its objects with an id are stored under their ids.
  const fields = Object.keys(subscription?.getFields() ?? {}).map((name) => [name, { merge: false }]);
  // What has no id is part of the object that contains it: its fields are added to those that were read before.
  const parts = Object.values(schema.getTypeMap()).filter(
    (type) =>
      isObjectType(type) &&
      !type.name.startsWith('__') &&
      !roots.includes(type) &&
      !type.getFields().id &&
      !type.getInterfaces().some(({ name }) => name.endsWith('Event')),
  );
  const policies = Object.fromEntries(parts.map(({ name }) => [name, { merge: true }]));
  return [
    '/** The option `typePolicies` of InMemoryCache. */',
    `export const typePolicies = ${JSON.stringify({ Subscription: { fields: Object.fromEntries(fields) }, ...policies }, null, 2)};`,
  ].join('\n');
}

/** What graphcache must know of the schema, as a module. */
function describeForGraphcache(path: string): string {
  const { queryType, mutationType, subscriptionType, types } = introspectionFromSchema(
    buildSchema(readFileSync(path, 'utf8')),
    { descriptions: false },
  ).__schema;
  const roots: (string | undefined)[] = [queryType, mutationType, subscriptionType].map((type) => type?.name);
  const named = types.filter(({ name }) => !name.startsWith('__'));
  const keyless = named.filter(
    (type) => type.kind === 'OBJECT' && !roots.includes(type.name) && !type.fields.some((field) => field.name === 'id'),
  );
  const schema = { queryType, mutationType, subscriptionType, types: named.flatMap(shorten) };
  return [
    "import type { CacheExchangeOpts } from '@urql/exchange-graphcache';",
    '',
    '/** The schema, as the option `schema` of cacheExchange takes it. */',
    `export const schema: CacheExchangeOpts['schema'] = ${JSON.stringify({ __schema: schema })};`,
    '',
    '/** Types without an id, which are stored in the objects that contain them: the option `keys` of cacheExchange. */',
    "export const keys: CacheExchangeOpts['keys'] = {",
    ...keyless.map(({ name }) => `  ${name}: () => null,`),
    '};',
  ].join('\n');
}

/** Drops what a cache does not read: inputs, enums and scalars. */
function shorten(type: IntrospectionType): object[] {
  switch (type.kind) {
    case 'OBJECT':
    case 'INTERFACE': {
      const { kind, name, interfaces } = type;
      const fields = type.fields.map(({ name, type, args }) => ({
        name,
        type,
        args: args.map(({ name, type }) => ({ name, type })),
      }));
      return [
        { kind, name, fields, interfaces, ...('possibleTypes' in type && { possibleTypes: type.possibleTypes }) },
      ];
    }
    case 'UNION':
      return [{ kind: type.kind, name: type.name, possibleTypes: type.possibleTypes }];
    default:
      return [];
  }
}
