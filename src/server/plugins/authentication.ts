import type { Plugin } from 'graphql-yoga';
import { UnauthenticatedError } from '../../api/errors.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { RequestContext } from '../operation/request-context.ts';

/**
 * Refuses every HTTP request without a valid access token, before its body is read. So a client without a token can have
 * no document parsed. (Sockets: see sockets/protocol.ts.)
 */
export function useAuthentication(verifyToken: VerifyToken): Plugin<object, RequestContext> {
  return {
    async onRequestParse({ request, serverContext }) {
      const token = readBearerToken(request.headers.get('authorization'));
      if (token === null) throw new UnauthenticatedError();
      serverContext.operation.viewer = await verifyToken(token);
    },
  };
}
