import { UnauthenticatedError } from '../api/errors.ts';

/**
 * Reads the token from an Authorization header (RFC 6750). Null: there is none.
 * @param header the value of the header
 * @param bare whether the scheme `Bearer` may be left out, as in the connection parameters of sockets
 * @throws {UnauthenticatedError} when the header contains anything else
 */
export function readBearerToken(header: string | null | undefined, bare: 'bare' | 'scheme' = 'scheme'): string | null {
  if (header === null || header === undefined || header === '') return null;
  const [, token] = /^bearer +(\S+) *$/i.exec(header) ?? [];
  if (token !== undefined) return token;
  if (bare === 'bare' && /^\S+$/.test(header)) return header;
  throw new UnauthenticatedError('The Authorization header must be: Bearer <access token>.');
}
