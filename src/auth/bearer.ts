import { UnauthenticatedError } from '../api/errors.ts';

/**
 * The token in an Authorization header (RFC 6750), or null where there is none.
 * @param header its value; `Bearer` may be left out only where `bare` says so, as in connection parameters of sockets
 * @throws {UnauthenticatedError} when there is something else in it
 */
export function readBearerToken(header: string | null | undefined, bare: 'bare' | 'scheme' = 'scheme'): string | null {
  if (header === null || header === undefined || header === '') return null;
  const [, token] = /^bearer +(\S+) *$/i.exec(header) ?? [];
  if (token !== undefined) return token;
  if (bare === 'bare' && /^\S+$/.test(header)) return header;
  throw new UnauthenticatedError('The Authorization header must be: Bearer <access token>.');
}
