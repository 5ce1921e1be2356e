import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { BadUserInputError, UnauthenticatedError } from '../api/errors.ts';
import { formatId, type IdKind, parseAnyId } from '../api/ids.ts';
import type { UploadedFile } from '../api/multipart.ts';
import { isExactNumber } from '../engine/exact-json.ts';
import type PrismaTypes from '../generated/pothos-types.ts';
import { getDatamodel } from '../generated/pothos-types.ts';
import type { Context } from './context.ts';

/** The schema builder. Every noun's schema.ts adds its types to it; schema.ts at floor 8 builds it. */
export const builder = new SchemaBuilder<{
  Context: Context;
  PrismaTypes: PrismaTypes;
  AuthScopes: { authenticated: boolean };
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  DefaultNodeNullability: false;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    JSON: { Input: unknown; Output: unknown };
    File: { Input: UploadedFile; Output: never };
  };
  Connection: { totalCount: () => number | Promise<number> };
}>({
  plugins: [ScopeAuthPlugin, RelayPlugin, PrismaPlugin, ComplexityPlugin],
  defaultFieldNullability: false,
  scopeAuth: {
    authorizeOnSubscribe: true,
    authScopes: (context) => ({ authenticated: context.authenticated }),
    unauthorizedError: () => new UnauthenticatedError(),
  },
  relay: {
    clientMutationId: 'omit',
    cursorType: 'String',
    nodesOnConnection: false,
    // The connection's own multiplier says how long the page is.
    edgesFieldOptions: {
      nullable: { list: false, items: false },
      description: 'The page, in order.',
      complexity: { field: 1, multiplier: 1 },
    },
    nodeFieldOptions: { nullable: false, description: 'The thing itself.' },
    cursorFieldOptions: { description: 'Where it stands in the list: pass it as `after` or `before`.' },
    pageInfoFieldOptions: { description: 'Whether there are more pages, and where this one begins and ends.' },
    pageInfoTypeOptions: { description: 'Where a page begins and ends, and whether the list goes on.' },
    hasNextPageFieldOptions: { description: 'Whether the list goes on after this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether the list goes on before this page.' },
    startCursorFieldOptions: { description: 'The cursor of the first one of the page; null where the page is empty.' },
    endCursorFieldOptions: { description: 'The cursor of the last one of the page; null where the page is empty.' },
    firstArgOptions: { description: 'How many to take from the beginning of the list, or after `after`.' },
    afterArgOptions: { description: 'Only what follows this cursor.' },
    lastArgOptions: { description: 'How many to take from the end of the list, or before `before`.' },
    beforeArgOptions: { description: 'Only what precedes this cursor.' },
    nodeTypeOptions: {
      description: 'Whatever has an id of its own. Ids are opaque to clients and typed to people: `<prefix>_<uuid>`.',
    },
    idFieldOptions: { description: 'Its id, `<prefix>_<uuid>`: the prefix says what it is of.' },
    nodeQueryOptions: {
      description: 'Anything that has an id, by its id.',
      args: { id: { description: 'Its id.' } },
    },
    nodesQueryOptions: {
      description: 'Several things by their ids, in the order of the ids.',
      args: { ids: { description: 'Their ids.' } },
      complexity: (args) => ({ field: 1, multiplier: args.ids.length }),
    },
    encodeGlobalID: (typename, id) => formatId(typename as IdKind, String(id)),
    decodeGlobalID: (globalId) => {
      const { kind, row } = parseAnyId(globalId, ['id']);
      if (kind === 'ChatSettings') throw new BadUserInputError('id is of ChatSettings, which is no Node.', ['id']);
      return { typename: kind, id: row };
    },
  },
  complexity: {
    defaultComplexity: 1,
    defaultListMultiplier: 5,
    // Checked before an operation runs (server/limits.ts), and not once more in its resolvers.
    disabled: true,
  },
  prisma: {
    // Each context carries its own database, so that two instances can live in one process (the tests' do).
    client: (context) => context.db,
    dmmf: getDatamodel(),
    exposeDescriptions: true,
    filterConnectionTotalCount: false,
    onUnusedQuery: null,
  },
});

builder.globalConnectionField('totalCount', (t) =>
  t.int({ description: 'How many there are in all, on every page.', resolve: (connection) => connection.totalCount() }),
);

function parseDateTime(value: unknown): Date {
  const date =
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(value) ? new Date(value) : new Date(NaN);
  if (Number.isNaN(date.getTime()))
    throw new GraphQLError('A DateTime is an RFC 3339 string like 2026-01-31T09:00:00Z.');
  return date;
}

builder.addScalarType(
  'DateTime',
  new GraphQLScalarType<Date, string>({
    name: 'DateTime',
    description: 'A moment in UTC, as RFC 3339: 2026-01-31T09:00:00.000Z.',
    serialize: (value) => {
      // An event that comes out of the archive carries its moment as text already.
      if (typeof value === 'string') return value;
      if (value instanceof Date) return value.toISOString();
      throw new GraphQLError('A DateTime must be a Date.');
    },
    parseValue: parseDateTime,
    parseLiteral: (node) => parseDateTime(node.kind === Kind.STRING ? node.value : null),
  }),
);

function readLiteral(node: ValueNode, variables: Record<string, unknown> | null | undefined): unknown {
  switch (node.kind) {
    case Kind.VARIABLE:
      return variables?.[node.name.value];
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map((field) => [field.name.value, readLiteral(field.value, variables)]));
    case Kind.LIST:
      return node.values.map((item) => readLiteral(item, variables));
    case Kind.INT:
    case Kind.FLOAT:
      if (isExactNumber(node.value)) return Number(node.value);
      throw new GraphQLError(
        `JSON cannot represent the number ${node.value.slice(0, 100)} exactly: give it as text, in quotes.`,
        { nodes: node },
      );
    case Kind.NULL:
      return null;
    default:
      return node.value;
  }
}

builder.addScalarType(
  'JSON',
  new GraphQLScalarType({
    name: 'JSON',
    description: 'Any JSON value.',
    parseValue: (value) => value,
    parseLiteral: readLiteral,
  }),
);

const rootScopes = { authenticated: true };
builder.queryType({ authScopes: rootScopes, description: 'Reads. Nothing here changes anything.' });
builder.mutationType({ authScopes: rootScopes, description: 'Writes.' });
builder.subscriptionType({ authScopes: rootScopes, description: 'Streams, over graphql-transport-ws or SSE.' });
