import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { isLoopbackName } from './loopback.ts';

/** Headers that no HTML form can send: a browser asks first (preflight). Every upload needs one of them. */
export const preflightHeaders = [
  'graphql-require-preflight',
  'apollo-require-preflight',
  'x-graphql-yoga-csrf',
  'x-requested-with',
] as const;

/** What browsers are told when a page of an origin may not use the server. */
export const forbiddenOrigin = 'Pages of this origin may not use this server. Add the origin to ALLOWED_ORIGINS.';

/**
 * Whether a page may use the server.
 * @param origin the Origin header; without one, the request does not come from a page of another site
 * @param host the Host header
 */
export type AllowsOrigin = (origin: string | undefined, host: string | undefined) => boolean;

/** How many refused origins are remembered, so that each is logged once. */
const maxLogged = 1_000;

/**
 * Creates the check of origins. Allowed are the server's own pages and the origins of `allowed`; in development, also pages
 * of this machine, on any port. Each refused origin is logged once.
 * @param allowed origins such as https://app.example.com
 */
export function createOriginCheck(options: {
  readonly allowed: readonly string[];
  readonly production: boolean;
  readonly logger: Logger;
}): AllowsOrigin {
  const { allowed, production, logger } = options;
  const logged = new LRUCache<string, true>({ max: maxLogged });
  return (origin, host) => {
    if (origin === undefined || allowed.includes(origin)) return true;
    const url = URL.parse(origin);
    // Compare hosts, not whole origins: behind a proxy that ends TLS, the server does not see its own scheme.
    if (url !== null && url.host !== '' && url.host === host?.toLowerCase()) return true;
    if (url !== null && !production && isLoopbackName(url.hostname)) return true;
    const shown = origin.slice(0, 200);
    if (!logged.has(shown)) {
      logged.set(shown, true);
      logger.warn({ origin: shown }, 'refused a page of this origin: to allow it, add it to ALLOWED_ORIGINS');
    }
    return false;
  };
}

/**
 * The headers that let a page of an allowed origin read the response (CORS). No credentials: tokens are sent in a header.
 * @param requested Access-Control-Request-Headers of a preflight: pages of allowed origins may send any header, as those
 *   of tracing and of client libraries
 */
export function listCorsHeaders(origin: string, requested?: string): Record<string, string> {
  const usual = ['authorization', 'content-type', 'x-request-id', 'range', ...preflightHeaders].join(', ');
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'POST, GET, HEAD',
    'access-control-allow-headers': isHeaderList(requested) ? requested : usual,
    'access-control-expose-headers':
      'x-request-id, content-range, accept-ranges, retry-after, ratelimit, ratelimit-policy',
    // Browsers cut it to their own limit: two hours in Chromium, a day in Firefox.
    'access-control-max-age': '86400',
    vary: 'origin, access-control-request-headers',
  };
}

function isHeaderList(requested: string | undefined): requested is string {
  return (
    requested !== undefined &&
    requested.length <= 2_000 &&
    /^[\w!#$%&'*+.^`|~-]+( *, *[\w!#$%&'*+.^`|~-]+)*$/.test(requested)
  );
}
