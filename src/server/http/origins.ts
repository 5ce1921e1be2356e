import { preflightHeaders } from '../plugins/strict-requests.ts';

/**
 * Whether a page of this origin may talk to the server: its own pages, and those of the origins that were allowed.
 * Requests without an origin do not come from a page; their token is their leave.
 *
 * @param origin the Origin header
 * @param host the Host header
 * @param allowed origins such as https://app.example.com
 */
export function isAllowedOrigin(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes(origin)) return true;
  // Hosts and not whole origins: behind a proxy that ends TLS, the server does not see its own scheme.
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase();
}

/** What lets a page of an allowed origin read the answer (CORS). No credentials: tokens are sent by hand. */
export function listCorsHeaders(origin: string): Record<string, string> {
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'POST, GET, HEAD',
    'access-control-allow-headers': [
      'authorization',
      'content-type',
      'x-request-id',
      'range',
      ...preflightHeaders,
    ].join(', '),
    'access-control-expose-headers': 'x-request-id, content-range, accept-ranges',
    'access-control-max-age': '600',
    vary: 'origin',
  };
}
