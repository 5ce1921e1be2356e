import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import PrismaPlugin from '@pothos/plugin-prisma';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin from '@pothos/plugin-scope-auth';
import {
  GraphQLError,
  GraphQLScalarType,
  getNamedType,
  getNullableType,
  isLeafType,
  isListType,
  Kind,
  type ValueNode,
} from 'graphql';
import { BadUserInputError, UnauthenticatedError } from '../api/errors.ts';
import { formatId, type IdKind, parseAnyId } from '../api/ids.ts';
import type { UploadedFile } from '../api/uploaded-file.ts';
import { tolerateDeletedRows } from '../database/deleted-rows.ts';
import { isExactNumber } from '../engine/exact-json.ts';
import type PrismaTypes from '../generated/pothos-types.ts';
import { getDatamodel } from '../generated/pothos-types.ts';
import type { Context } from './context.ts';
import { maxCost } from './max-cost.ts';

/** In place of the type of an id that is malformed, or of no node. */
const badId = '';

/** The queries of objects that have an id and are no Node. */
const queriesOfOthers: { readonly [Kind in IdKind]?: string } = {
  ChatSettings: 'chatSettings',
  ContextSnapshot: 'contextSnapshot',
  RealtimeSession: 'realtimeSession',
  TicketComment: 'ticket',
};

function readNodeId(globalId: string): { typename: string; id: string } | BadUserInputError {
  try {
    const { kind, row } = parseAnyId(globalId, ['id']);
    const query = queriesOfOthers[kind];
    if (query === undefined) return { typename: kind, id: row };
    return new BadUserInputError(`${kind} is not a Node; read it with \`${query}\`.`, ['id']);
  } catch (error) {
    if (error instanceof BadUserInputError) return error;
    throw error;
  }
}

/** The error for an id of `node` or `nodes`, as a value; null: it is well-formed. */
function explainBadId({ typename, id }: { readonly typename: string; readonly id: string }): Error | null {
  const read = typename === badId ? readNodeId(id) : null;
  return read instanceof Error ? read : null;
}

/** The schema builder. The graphql folder of every noun adds its types to it; boot/schema.ts builds the schema. */
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
    // The connection has a multiplier of its own, the length of the page.
    edgesFieldOptions: {
      nullable: { list: false, items: false },
      description: 'The items of this page, in list order.',
      complexity: { field: 1, multiplier: 1 },
    },
    nodeFieldOptions: { nullable: false, description: 'The item.' },
    cursorFieldOptions: {
      description: 'The opaque position of the item in the list. Pass it as `after` or `before` to read on from here.',
    },
    pageInfoFieldOptions: { description: 'Where the page begins and ends, and whether there are more pages.' },
    pageInfoTypeOptions: { description: 'Where a page begins and ends, and whether there are more pages.' },
    hasNextPageFieldOptions: { description: 'Whether there are items after this page.' },
    hasPreviousPageFieldOptions: { description: 'Whether there are items before this page.' },
    startCursorFieldOptions: { description: 'The cursor of the first item of the page. Null if the page is empty.' },
    endCursorFieldOptions: {
      description:
        'The cursor of the last item of the page. Pass it as `after` to read the next page. Null if the page is empty.',
    },
    firstArgOptions: {
      description:
        'The number of items from the start of the list, or from `after`. The default and the maximum are named at the field. Cannot be combined with `last`.',
    },
    afterArgOptions: {
      description:
        'Return only the items after this cursor, exclusive. Use a `cursor` or `pageInfo.endCursor` of the same list.',
    },
    lastArgOptions: {
      description:
        'The number of items from the end of the list, or up to `before`. The maximum is named at the field. Cannot be combined with `first`.',
    },
    beforeArgOptions: {
      description:
        'Return only the items before this cursor, exclusive. Use a `cursor` or `pageInfo.startCursor` of the same list.',
    },
    nodeTypeOptions: {
      description:
        'An object with a globally unique id. Ids are opaque to clients; their prefix tells people the type: `<prefix>_<uuid>`, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
    },
    idFieldOptions: {
      description:
        'The globally unique id: a prefix for the type and a UUID, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`. Treat it as opaque.',
    },
    nodeQueryOptions: {
      description:
        'The object with this id, of whichever type. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
      args: { id: { description: 'The id of any object, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.' } },
      resolve: (_root, { id }, _context, _info, resolveNode) => explainBadId(id) ?? resolveNode(id),
    },
    nodesQueryOptions: {
      description:
        'The objects with these ids, in the order of the ids. An object that cannot be read is null, with an error for its position.',
      args: { ids: { description: 'The ids, of any types.' } },
      complexity: (args) => ({ field: args.ids.length, multiplier: args.ids.length }),
      resolve: async (_root, args, _context, _info, resolveNodes) => {
        const errors = args.ids.map(explainBadId);
        // Pothos resolves the ids in `args`, whatever it is called with.
        args.ids.splice(0, Infinity, ...args.ids.filter((_id, index) => errors[index] === null));
        const nodes = await resolveNodes(args.ids);
        let next = 0;
        return errors.map((error) => error ?? nodes[next++]);
      },
    },
    encodeGlobalID: (typename, id) => formatId(typename as IdKind, String(id)),
    decodeGlobalID: (globalId) => {
      const read = readNodeId(globalId);
      // An error here would fail all ids of `nodes`: the resolvers report it, each for its id.
      return read instanceof Error ? { typename: badId, id: globalId } : read;
    },
  },
  complexity: {
    // The cost of an operation is about the number of objects in its answer: values inside them are free.
    fieldComplexity: (_args, _context, { type }) => {
      if (isLeafType(getNamedType(type))) return 0;
      return isListType(getNullableType(type)) ? { field: 1, multiplier: 5 } : 1;
    },
    // Checked before an operation runs (server/plugins/cost-limit.ts), not again in its resolvers.
    disabled: true,
  },
  prisma: {
    // Each context has its own database client, because the tests run two instances in one process.
    client: (context) => tolerateDeletedRows(context.db),
    dmmf: getDatamodel(),
    exposeDescriptions: true,
    filterConnectionTotalCount: false,
    onUnusedQuery: null,
  },
});

builder.globalConnectionField('totalCount', (t) =>
  t.int({
    description: 'The number of items in the whole list, on all pages.',
    resolve: (connection) => connection.totalCount(),
  }),
);

function parseDateTime(value: unknown): Date {
  const date =
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(value) ? new Date(value) : new Date(NaN);
  const year = date.getUTCFullYear();
  // The database has no year 0, and a year with five digits is written in another way.
  if (Number.isNaN(year) || year < 1 || year > 9_999)
    throw new GraphQLError('A DateTime must be an RFC 3339 string like 2026-01-31T09:00:00Z.');
  return date;
}

builder.addScalarType(
  'DateTime',
  new GraphQLScalarType<Date, string>({
    name: 'DateTime',
    description: 'A moment in UTC as an RFC 3339 string, such as `2026-01-31T09:00:00.000Z`.',
    serialize: (value) => {
      // Events of the archive carry the moment as a string already.
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
        `JSON cannot represent the number ${node.value.slice(0, 100)} exactly: send it as a string.`,
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
    description:
      'Any JSON value. Integers beyond ±9,007,199,254,740,991 must be given as strings, because they would be rounded.',
    parseValue: (value) => value,
    parseLiteral: readLiteral,
  }),
);

const rootScopes = { authenticated: true };
builder.queryType({
  authScopes: rootScopes,
  description: `Read operations. None of them changes anything. An operation may cost ${maxCost.toLocaleString('en-US')}: an object costs 1, and a list as many as it may have (\`first\` or \`last\`, otherwise its default), each with what is selected on it; values are free. With \`extensions: {"cost": true}\` in the request, the answer has its cost in \`extensions.cost\`.`,
});
builder.mutationType({
  authScopes: rootScopes,
  description: 'Write operations. Each of them takes effect before it returns.',
});
builder.subscriptionType({
  authScopes: rootScopes,
  description: 'Event streams, over WebSocket (`graphql-transport-ws`) or server-sent events.',
});
