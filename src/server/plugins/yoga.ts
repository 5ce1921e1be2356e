import type { DocumentNode, GraphQLSchema } from 'graphql';
import { createYoga } from 'graphql-yoga';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { SharedConcurrencyLimit } from '../../limits/shared-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { graphqlPath } from '../requests/path.ts';
import type { PersistedDocuments } from '../requests/persisted-documents.ts';
import { useAuthentication } from './authentication.ts';
import { useCostLimit } from './cost-limit.ts';
import { createDocumentCache } from './document-cache.ts';
import { listDocumentLimits } from './document-limits.ts';
import { useErrorPresentation } from './error-presentation.ts';
import { useEventSeq } from './event-seq.ts';
import { useEventStreams } from './event-streams.ts';
import { useFastQuery } from './fast-query.ts';
import { useFastSubscribe } from './fast-subscribe.ts';
import { useHttpStatus } from './http-status.ts';
import { useIntrospectionLimit } from './introspection-limit.ts';
import { useMutationLimit } from './mutation-limit.ts';
import { useNestingLimit } from './nesting-limit.ts';
import { useOpenOperations } from './open-operations.ts';
import { useOperationLog } from './operation-log.ts';
import { usePersistedQueries } from './persisted-queries.ts';
import { useRequestBodies } from './request-bodies.ts';
import { type SharedDependencies, useResolverContext } from './resolver-context.ts';

/** GraphQL over HTTP and SSE. Sockets use the same plugins through its `getEnveloped`. */
export type Yoga = ReturnType<typeof createGraphql>;

/** Puts the schema behind the plugins, in the order in which they handle a request. */
export function createGraphql(options: {
  schema: GraphQLSchema;
  dependencies: SharedDependencies;
  verifyToken: VerifyToken;
  /** Creates the rows of a viewer who is seen for the first time. */
  ensureProvisioned: (viewer: Viewer) => Promise<void>;
  /** The documents that clients may name by an id. */
  documents: PersistedDocuments;
  /** Every operation over HTTP counts against it until it finishes. */
  openOperations: ConcurrencyLimit;
  openStreams: SharedConcurrencyLimit;
  /** How often strangers may read shared conversations. */
  sharedLimit: RateLimit;
  /** How often a user may change something. */
  mutationLimit: RateLimit;
}) {
  return createYoga<RequestContext, object>({
    schema: options.schema,
    graphqlEndpoint: graphqlPath,
    plugins: [
      useAuthentication(options.verifyToken, options.sharedLimit),
      useOpenOperations(options.openOperations, options.dependencies.answers),
      useRequestBodies(options.dependencies.exports.maxImportBytes),
      usePersistedQueries(options.documents),
      ...listDocumentLimits(),
      useNestingLimit(),
      useResolverContext(options.dependencies, options.ensureProvisioned),
      // Before the plugins that may set a result themselves, so that those results pass through here too.
      useErrorPresentation(),
      useHttpStatus(),
      useOperationLog(),
      useEventStreams(options.openStreams),
      useCostLimit(),
      useIntrospectionLimit(options.schema),
      useMutationLimit(options.mutationLimit),
      useEventSeq(),
      useFastQuery(),
      useFastSubscribe(),
    ],
    // useRequestBodies limits bodies by their type, and reads multipart ones itself.
    maxRequestBodySize: false,
    multipart: false,
    batching: false,
    extraParamNames: ['documentId'],
    // useErrorPresentation masks errors; see present-error.ts.
    maskedErrors: false,
    parserAndValidationCache: {
      documentCache: createDocumentCache<DocumentNode>(),
      // Errors are rewritten on their way out, and wrong documents are not worth the memory.
      errorCache: { get: () => undefined, set: () => {} },
    },
    // Pages, health checks and CORS headers are routes of http.ts.
    graphiql: false,
    landingPage: false,
    cors: false,
    logging: false,
  });
}
