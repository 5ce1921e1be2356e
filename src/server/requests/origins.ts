/** Headers that no HTML form can send: a browser asks first (preflight). Every upload needs one of them. */
export const preflightHeaders = [
  'graphql-require-preflight',
  'apollo-require-preflight',
  'x-graphql-yoga-csrf',
  'x-requested-with',
] as const;

/**
 * Whether a page of this origin may use the server: the server's own pages may, and those of allowed origins.
 * Requests without an Origin header do not come from a page of another site; their token decides.
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
  // Compare hosts, not whole origins: behind a proxy that ends TLS, the server does not see its own scheme.
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase();
}

/** The headers that let a page of an allowed origin read the response (CORS). No credentials: tokens are sent in a header. */
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
