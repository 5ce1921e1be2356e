import type { IncomingMessage, ServerResponse } from 'node:http';

/** What browsers ask for by themselves, and what the pages name. */
const paths = ['/favicon.ico', '/favicon.svg'];

/** examples/web/public/favicon.svg, also if no page is built. */
const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><title>Switchboard</title><rect width="32" height="32" rx="9" fill="#3b5bdb"/><path d="M10 12.5h8.5a3 3 0 0 1 0 6H13a3 3 0 0 0 0 6" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" transform="translate(0 -2.5)"/><circle cx="9" cy="10" r="2.3" fill="#fff"/><circle cx="23" cy="22" r="2.3" fill="#fff"/></svg>\n';

/** Whether a request asks for the icon. */
export function isFavicon({ method }: IncomingMessage, path: string): boolean {
  return paths.includes(path) && (method === 'GET' || method === 'HEAD');
}

/** Sends the icon of this server. Nothing in it can run, wherever it is opened. */
export function serveFavicon(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, {
    'content-type': 'image/svg+xml',
    'content-length': Buffer.byteLength(icon),
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cache-control': 'public, max-age=86400',
  });
  response.end(request.method === 'HEAD' ? undefined : icon);
}
