import type { IncomingMessage } from 'node:http';
import type { GraphQLParams } from 'graphql-yoga';
import type { Operation } from './operation.ts';

/** What the plugins know of an operation before its resolver context is built. */
export interface RequestContext {
  readonly operation: Operation;
  /** The HTTP request, for plugins that read its body themselves. Absent over sockets. */
  readonly incoming?: IncomingMessage;
  /** The address of the client. Absent over sockets. */
  readonly address?: string;
  /** Yoga's view of the HTTP request. Absent over sockets. */
  readonly request?: Request;
  readonly params?: GraphQLParams;
}
