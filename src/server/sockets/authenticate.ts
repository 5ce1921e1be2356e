import { CloseCode } from 'graphql-ws';
import { z } from 'zod';
import { RateLimitedError, UnauthenticatedError } from '../../api/errors.ts';
import { readBearerToken } from '../../auth/bearer.ts';
import { KeysUnreachableError, TokenExpiredError } from '../../auth/verify-token.ts';

/** Unexpected condition (RFC 6455, section 7.4.1). */
const unexpected = 1011;
/** Try again later (IANA's registry of WebSocket close codes): clients reconnect, with a growing delay. */
const tryAgainLater = 1013;
/** The longest reason of a close frame, in bytes (RFC 6455, section 5.5). */
const maxReasonBytes = 123;

const token = z.string().nullish();
const connectionParams = z.object({ authorization: token, Authorization: token });
const operationExtensions = z.object({ headers: z.record(z.string(), z.unknown()) });

/**
 * The access token in the parameters of connection_init. Null: there is none.
 * @throws {UnauthenticatedError} when it is not a string, or malformed
 */
export function readConnectionToken(payload: unknown): string | null {
  const params = connectionParams.safeParse(payload ?? {});
  if (!params.success) throw new UnauthenticatedError('The access token must be a string.');
  return readBearerToken(params.data.authorization ?? params.data.Authorization, 'bare');
}

/** The headers that one operation brings in its `extensions`, as GraphiQL sends those of its editor; by lower-case name. */
export function readOperationHeaders(extensions: unknown): ReadonlyMap<string, unknown> {
  const headers = operationExtensions.safeParse(extensions).data?.headers ?? {};
  return new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/**
 * The access token of one operation: GraphiQL sends the headers of its editor with each. Null: there is none.
 * @throws {UnauthenticatedError} when it is not a string, or malformed
 */
export function readOperationToken(extensions: unknown): string | null {
  const header = readOperationHeaders(extensions).get('authorization');
  if (header === undefined || header === null) return null;
  if (typeof header !== 'string') throw new UnauthenticatedError('The access token must be a string.');
  return readBearerToken(header);
}

/** How a socket is closed after a failed authentication. */
export function closeReasonOf(error: unknown): [code: number, reason: string] {
  // Clients reconnect after these, with a growing delay; the cause may be gone by then.
  if (error instanceof RateLimitedError || error instanceof KeysUnreachableError) {
    return [tryAgainLater, shorten(error.message)];
  }
  // Clients reconnect after 4403 and give up after 4401: an expired token can be renewed, an invalid one stays invalid.
  if (error instanceof TokenExpiredError) return [CloseCode.Forbidden, error.message];
  if (error instanceof UnauthenticatedError) return [CloseCode.Unauthorized, shorten(error.message)];
  return [unexpected, 'Something went wrong.'];
}

/** ws throws if a reason is longer. Messages are ASCII but for the names of claims that operators choose. */
function shorten(reason: string): string {
  return Buffer.byteLength(reason) <= maxReasonBytes ? reason : `${reason.slice(0, 40)}…`;
}
