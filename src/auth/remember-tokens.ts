import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { VerifyToken } from './verify-token.ts';
import type { Viewer } from './viewer.ts';

/** An entry is a hash and a viewer, some hundred bytes; a viewer has at most 100 roles. */
const maxTokens = 10_000;
/** A key that its issuer withdraws is noticed after this time at the latest, and after the time that keys are cached for. */
const maxAgeMs = 60_000;

/**
 * Remembers the viewers of access tokens that were verified, so that the next request with the same token does not verify
 * it again. It stores hashes, never tokens. Refused tokens are not remembered: a stranger cannot fill it.
 * @param now the time in milliseconds since 1970
 */
export function rememberTokens(verify: VerifyToken, now: () => number = Date.now): VerifyToken {
  const viewers = new LRUCache<string, Viewer>({ max: maxTokens, ttl: maxAgeMs, ttlResolution: 0, perf: { now } });
  return async (token) => {
    const key = hash('sha256', token, 'base64url');
    const known = viewers.get(key);
    // An expired token goes to `verify`, which says that it has expired.
    if (known !== undefined && known.expiresAt > now()) return known;
    const viewer = await verify(token);
    viewers.set(key, viewer);
    return viewer;
  };
}
