import type { DocumentNode, GraphQLSchema } from 'graphql';
import { createYoga } from 'graphql-yoga';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { RequestContext } from '../request-context.ts';
import { useAuthentication } from './authentication.ts';
import { type SharedDependencies, useContext } from './context.ts';
import { createDocumentCache } from './document-cache.ts';
import { useNoAnonymousIntrospection } from './introspection.ts';
import { listDocumentLimits, useCostLimit } from './limits.ts';
import { useResults } from './results.ts';
import { useStrictRequests } from './strict-requests.ts';
import { useFastSubscribe } from './subscribe.ts';

/** Where GraphQL is, over HTTP and over sockets. */
export const graphqlPath = '/graphql';

/** GraphQL over HTTP and SSE; sockets go through the same plugins by its getEnveloped. */
export type Yoga = ReturnType<typeof createGraphql>;

/** Puts the schema behind the plugins, in the order in which they see a request. */
export function createGraphql(from: {
  schema: GraphQLSchema;
  floors: SharedDependencies;
  verifyToken: VerifyToken;
  /** Sees each viewer before anything is done for them. */
  meet: (viewer: Viewer) => Promise<void>;
  production: boolean;
}) {
  return createYoga<RequestContext, object>({
    schema: from.schema,
    graphqlEndpoint: graphqlPath,
    plugins: [
      useAuthentication(from.verifyToken),
      useStrictRequests(),
      ...listDocumentLimits(),
      ...(from.production ? [useNoAnonymousIntrospection()] : []),
      useContext(from.floors, from.meet),
      // Before whatever may answer by itself, so that its answers pass here too.
      useResults(),
      useCostLimit(),
      useFastSubscribe(),
    ],
    // useStrictRequests limits bodies by what they are, and reads multipart ones itself.
    maxRequestBodySize: false,
    multipart: false,
    batching: false,
    // useResults masks; see errors.ts.
    maskedErrors: false,
    parserAndValidationCache: {
      documentCache: createDocumentCache<DocumentNode>(),
      // Errors are rewritten on their way out, and a million wrong documents are not worth a place.
      errorCache: { get: () => undefined, set: () => {} },
    },
    // Pages, health and cross-origin headers are routes of http.ts.
    graphiql: false,
    landingPage: false,
    cors: false,
    logging: false,
  });
}
