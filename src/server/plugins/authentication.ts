import type { Plugin } from 'graphql-yoga';
import { readBearerToken } from '../../auth/bearer.ts';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { RequestContext } from '../operation/request-context.ts';

/** Checks the Authorization header before the body is read. Without one, the operation has no viewer. */
export function useAuthentication(verifyToken: VerifyToken): Plugin<object, RequestContext> {
  return {
    async onRequestParse({ request, serverContext }) {
      const token = readBearerToken(request.headers.get('authorization'));
      if (token !== null) serverContext.operation.viewer = await verifyToken(token);
    },
  };
}
