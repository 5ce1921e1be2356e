import type { IncomingMessage } from 'node:http';
import type { Plugin } from 'graphql-yoga';
import { UnauthenticatedError } from '../../api/errors.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import type { VerifyToken } from '../../auth/verify-token.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { RequestContext } from '../operation/request-context.ts';
import { readBody } from '../requests/body.ts';
import { readSharedRequest, sharedLimits } from '../requests/shared-document.ts';

/** Requests of strangers that are read or answered at the same time: of one address, and all together. */
const strangersAtOnce = { user: 20, tenant: 100, process: 100 } as const;

/**
 * Refuses every HTTP request without a valid access token, before its body is read. So a client without a token can have
 * no document parsed, but for one: a small body that asks for a shared conversation and for nothing else. (Sockets: see
 * sockets/protocol.ts.)
 * @param sharedLimit how often strangers may read shared conversations
 */
export function useAuthentication(
  verifyToken: VerifyToken,
  sharedLimit: RateLimit,
): Plugin<RequestContext, RequestContext> {
  const strangers = new ConcurrencyLimit('readings of shared conversations', strangersAtOnce);
  return {
    async onRequestParse({ request, serverContext, setRequestParser }) {
      const { operation, incoming, address } = serverContext;
      const header = request.headers.get('authorization');
      const token = readBearerToken(header);
      if (token !== null) {
        operation.viewer = await verifyToken(token);
        return;
      }
      if (header !== null || !incoming || address === undefined || !mayBeShared(request)) {
        throw new UnauthenticatedError();
      }
      const stranger = asStranger(address);
      operation.hold(strangers.enter(stranger));
      const params = readSharedRequest(await readSmall(incoming));
      if (params === null) throw new UnauthenticatedError();
      await sharedLimit.take(stranger);
      operation.stranger = stranger;
      setRequestParser(() => params);
    },
  };
}

/** What can be seen of a request before it is read. */
function mayBeShared({ method, headers }: Request): boolean {
  const [mediaType = ''] = (headers.get('content-type') ?? '').split(';');
  const length = headers.get('content-length') ?? '';
  return (
    method === 'POST' &&
    mediaType.trim().toLowerCase() === 'application/json' &&
    headers.get('content-encoding') === null &&
    /^\d{1,6}$/.test(length) &&
    Number(length) <= sharedLimits.maxBytes
  );
}

/** A body that is not read in time is nothing that a stranger may send. */
async function readSmall(incoming: IncomingMessage): Promise<string> {
  try {
    return (await readBody(incoming, sharedLimits)).toString('utf8');
  } catch {
    throw new UnauthenticatedError();
  }
}

/** As whom strangers count: a user for each address, of a tenant that no token can name, so that they share what one may hold. */
function asStranger(address: string): Viewer {
  return { tenantId: '', userId: address, roles: [], expiresAt: Number.POSITIVE_INFINITY };
}
