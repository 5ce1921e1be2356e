import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  buildSchema,
  getNamedType,
  isInterfaceType,
  isNonNullType,
  isObjectType,
  parse,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import shared from '../../codegen.ts';
import { describeOperations } from '../../packages/client/codegen.ts';

const target = {
  preset: 'client',
  presetConfig: { fragmentMasking: { unmaskFunctionName: 'readFragment' } },
  config: { ...shared.generates['src/generated/'].config, importExtension: '.ts' },
};

/** Types of the documents of the chat, with masked fragments. */
export const chat = {
  schema: '../../schema.graphql',
  documents: ['src/*.graphql'],
  generates: {
    'src/generated/': target,
    'src/generated/graphcache.ts': { plugins: [{ add: { content: describeForCache() } }] },
  },
};

/** Those of the admin pages stand apart: the chat loads none of them. */
export const admin = {
  schema: '../../schema.graphql',
  documents: ['src/admin/**/*.graphql'],
  generates: { 'src/admin/generated/': target },
};

const calls = 'src/voice/voice.graphql';

/** Those of the page of calls are sent as they are written: nothing caches them. */
export const voice = {
  schema: '../../schema.graphql',
  documents: [calls],
  generates: {
    'src/voice/generated/operations.ts': {
      plugins: [
        'typescript-operations',
        { add: { content: describeOperations(import.meta.dirname, calls), placement: 'append' } },
      ],
      config: { ...target.config, scalars: { ...target.config.scalars, ID: 'string' } },
    },
  },
};

/**
 * What the cache of the chat must know of the schema, as a module: the types and fields that its documents read. Without it,
 * graphcache looks in each event for the fields of all kinds of events, and warns of those that are missing. Each field counts as
 * required, so that an object of which a part is unknown is read again and not shown in part.
 */
function describeForCache(): string {
  const schema = buildSchema(readFileSync(join(import.meta.dirname, '../../schema.graphql'), 'utf8'));
  const fields = new Map<string, Set<string>>();
  const add = (type: unknown, field: string | null) => {
    if (!isObjectType(type) && !isInterfaceType(type)) return;
    const known = fields.get(type.name) ?? new Set();
    fields.set(type.name, field === null ? known : known.add(field));
    if (isInterfaceType(type)) for (const object of schema.getPossibleTypes(type)) add(object, field);
  };
  const info = new TypeInfo(schema);
  const visitor = visitWithTypeInfo(info, {
    Field({ name: { value } }) {
      if (value.startsWith('__')) return;
      add(info.getParentType(), value);
      add(getNamedType(info.getType()), null);
    },
  });
  for (const path of globSync(join(import.meta.dirname, 'src/*.graphql')))
    visit(parse(readFileSync(path, 'utf8')), visitor);

  const type = { kind: 'NON_NULL', ofType: { kind: 'SCALAR', name: 'Any' } };
  const types = [...fields].map(([name, read]) => {
    const known = schema.getType(name);
    const interfaces = isObjectType(known)
      ? known.getInterfaces().map((of) => ({ kind: 'INTERFACE', name: of.name }))
      : [];
    const kind = isInterfaceType(known) ? 'INTERFACE' : 'OBJECT';
    return { kind, name, interfaces, fields: [...read].map((field) => ({ name: field, type, args: [] })) };
  });
  const roots = ['Query', 'Mutation', 'Subscription'];
  const [queryType, mutationType, subscriptionType] = roots.map((name) => ({ name }));
  const parts = [...fields].filter(([name, read]) => {
    const known = schema.getType(name);
    const hasId = isObjectType(known) && read.has('id') && isNonNullType(known.getFields().id?.type);
    return isObjectType(known) && !hasId && !roots.includes(name);
  });
  return [
    "import type { CacheExchangeOpts } from '@urql/exchange-graphcache';",
    '',
    '/** What the documents read of the schema. */',
    `export const schema: CacheExchangeOpts['schema'] = ${JSON.stringify({ __schema: { queryType, mutationType, subscriptionType, types } })};`,
    '',
    '/** What has no id is part of the object that contains it. */',
    `export const keys: CacheExchangeOpts['keys'] = { ${parts.map(([name]) => `${name}: () => null`).join(', ')} };`,
  ].join('\n');
}
