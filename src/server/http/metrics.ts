import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { readBearerToken } from '../../auth/bearer.ts';
import { registry } from '../../telemetry/metrics.ts';
import { readPath } from '../requests/path.ts';
import { respondError } from '../requests/respond.ts';

export const metricsPath = '/metrics';

/** How long a request may take, in milliseconds. */
const requestTimeout = 10_000;
/** Connections to the port of the metrics: a few collectors have one each. */
const maxConnections = 32;

/**
 * Creates the route of the metrics.
 * @param token what a collector has to present as a bearer token; null: nothing, because its port is not open to others
 */
export function createMetricsRoute(
  token: string | null,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const expected = token === null ? null : hash(token);
  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return respondError(response, 405, 'BAD_USER_INPUT', 'Read the metrics with GET.');
    }
    if (expected !== null && !isPresented(request, expected)) {
      response.setHeader('www-authenticate', 'Bearer');
      return respondError(response, 401, 'UNAUTHENTICATED', 'Send the token of METRICS_TOKEN as a bearer token.');
    }
    const text = await registry.metrics();
    response.writeHead(200, {
      'content-type': registry.contentType,
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
    });
    response.end(request.method === 'HEAD' ? undefined : text);
  };
}

/** Creates the server of the metrics' own port. It does not listen yet. */
export function createMetricsServer(token: string | null): Server {
  const serve = createMetricsRoute(token);
  const server = createServer({ requestTimeout, headersTimeout: requestTimeout }, (request, response) => {
    if (readPath(request) !== metricsPath) return respondError(response, 404, 'NOT_FOUND', 'Not found.');
    serve(request, response).catch(() => response.destroy());
  });
  server.maxConnections = maxConnections;
  return server;
}

/** Both are hashed, so that neither their length nor the time of the comparison tells anything of the token. */
function isPresented(request: IncomingMessage, expected: Buffer): boolean {
  try {
    const presented = readBearerToken(request.headers.authorization);
    return presented !== null && timingSafeEqual(hash(presented), expected);
  } catch {
    return false;
  }
}

function hash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
