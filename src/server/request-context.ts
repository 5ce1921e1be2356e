import type { IncomingMessage } from 'node:http';
import type { GraphQLParams } from 'graphql-yoga';
import type { Context } from '../graphql/context.ts';
import type { Operation } from './operation.ts';

/**
 * What the plugins know of an operation before its context is built. `request` is there over HTTP only; a context for
 * resolvers is laid over it by useContext.
 */
export interface RequestContext {
  readonly operation: Operation;
  /** What came over HTTP, for bodies that are read by hand. */
  readonly incoming?: IncomingMessage;
  readonly request?: Request;
  readonly params?: GraphQLParams;
}

/** What resolvers are handed, in the end. */
export type ResolverContext = RequestContext & Context;
