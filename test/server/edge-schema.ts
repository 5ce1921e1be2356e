import { GraphQLError, GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql';
import { ConflictError, NotFoundError } from '../../src/api/errors.ts';
import type { Context } from '../../src/graphql/context.ts';

/** How many sources of `tick` are open, and how many were ever opened. */
export const ticks = { open: 0, opened: 0 };

/** How many events of `flood` were taken from its source. */
export const flood = { taken: 0 };

/** A small schema for the edge itself: fields that fail in every way, and subscriptions that go on until they are left. */
export const edgeSchema = new GraphQLSchema({
  query: new GraphQLObjectType<unknown, Context>({
    name: 'Query',
    fields: {
      user: { type: GraphQLString, resolve: (_root, _args, context) => context.viewer.userId },
      boom: {
        type: GraphQLString,
        resolve: () => {
          throw new Error('a secret of the inside');
        },
      },
      wrongType: { type: GraphQLInt, resolve: () => 'a secret of the inside' },
      neverNull: { type: new GraphQLNonNull(GraphQLString), resolve: () => null },
      wrongShape: {
        type: new GraphQLObjectType({
          name: 'Shape',
          fields: { name: { type: GraphQLString } },
          isTypeOf: () => false,
        }),
        resolve: () => ({ name: 'a secret of the inside' }),
      },
      missing: {
        type: GraphQLString,
        resolve: () => {
          throw new NotFoundError('There is no such thing.');
        },
      },
      conflict: {
        type: GraphQLString,
        resolve: () => {
          throw new ConflictError('One runs already.', 'run_1');
        },
      },
      echo: {
        type: GraphQLString,
        args: { text: { type: GraphQLString }, count: { type: GraphQLInt } },
        resolve: (_root, { text }) => text,
      },
      statements: {
        type: GraphQLInt,
        resolve: async (_root, _args, { db }) => {
          await db.$queryRaw`SELECT 1`;
          await db.$queryRaw`SELECT 2`;
          return 2;
        },
      },
      self: { type: GraphQLString, resolve: () => 'x' },
    },
  }),
  mutation: new GraphQLObjectType({
    name: 'Mutation',
    fields: { act: { type: GraphQLString, resolve: () => 'done' } },
  }),
  subscription: new GraphQLObjectType<unknown, Context>({
    name: 'Subscription',
    fields: {
      tick: {
        type: GraphQLInt,
        extensions: { complexity: { field: 1 } },
        subscribe: () => openTicks(),
        resolve: (count) => count,
      },
      refused: {
        type: GraphQLInt,
        subscribe: () => {
          throw new NotFoundError('There is no such stream.');
        },
      },
      breaks: {
        type: GraphQLInt,
        subscribe: () => countTo(2, new Error('a secret of the inside')),
        resolve: (count) => count,
      },
      sometimes: {
        type: GraphQLInt,
        subscribe: () => countTo(2, null),
        resolve: (count) => {
          if (count === 1) throw new Error('a secret of the inside');
          return count;
        },
      },
      flood: {
        type: GraphQLString,
        subscribe: async function* () {
          for (;;) {
            flood.taken += 1;
            yield 'x'.repeat(64 * 1024);
          }
        },
        resolve: (text) => text,
      },
      expensive: {
        type: GraphQLInt,
        extensions: { complexity: { field: 1_000_000 } },
        subscribe: () => openTicks(),
        resolve: (count) => count,
      },
      badly: {
        type: GraphQLInt,
        subscribe: () => {
          throw new GraphQLError('a secret of the inside', { originalError: new Error('deeper') });
        },
      },
    },
  }),
});

/** 0 immediately, and then nothing until the client leaves. */
function openTicks(): AsyncIterableIterator<number> {
  ticks.open += 1;
  ticks.opened += 1;
  let sent = false;
  const left = Promise.withResolvers<IteratorResult<number>>();
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (sent) return left.promise;
      sent = true;
      return { done: false, value: 0 };
    },
    async return() {
      ticks.open -= 1;
      left.resolve({ done: true, value: undefined });
      return { done: true, value: undefined };
    },
  };
}

async function* countTo(end: number, failure: Error | null): AsyncGenerator<number> {
  for (let count = 0; count < end; count += 1) yield count;
  if (failure) throw failure;
}
