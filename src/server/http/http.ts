import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { countStatementsIn } from '../../database/statements.ts';
import { Operation } from '../operation/operation.ts';
import type { Yoga } from '../plugins/yoga.ts';
import { isAllowedOrigin, listCorsHeaders } from '../requests/origins.ts';
import { graphqlPath, readPath } from '../requests/path.ts';
import { maxUploadMs } from '../requests/read-upload.ts';
import { respondError, respondJson } from '../requests/respond.ts';
import type { Readiness } from './health.ts';

/** How long the headers of a request may take, in milliseconds. */
const headersTimeout = 20_000;
/** How long a whole request may take, in milliseconds. The limits of body.ts are lower: they send a response. */
const requestTimeout = maxUploadMs + 20_000;
/** How long the rest of a request is discarded after its response was sent, in milliseconds. */
const drainMs = 10_000;

type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** What the routes lead to. */
export interface HttpRoutes {
  readonly yoga: Yoga;
  readonly checkReadiness: () => Promise<Readiness>;
  /** Serves the page of GraphiQL. Null: it is switched off. */
  readonly serveGraphiql: Route | null;
  /** Serves spoken clips at the paths for which `isPath` is true. */
  readonly clips: { readonly isPath: (path: string) => boolean; readonly serve: Route };
  readonly allowedOrigins: readonly string[];
  readonly logger: Logger;
  /** Called after each failure that was masked. */
  readonly onMasked: (operation: Operation) => void;
}

/** Creates the HTTP server: /graphql, /speech, /health (liveness) and /ready (readiness). It does not listen yet. */
export function createHttpServer(routes: HttpRoutes): Server {
  return createServer({ headersTimeout, requestTimeout }, (request, response) => {
    response.once('finish', () => {
      if (!request.complete) drainRequest(request);
    });
    route(request, response, routes).catch((error: unknown) => {
      routes.logger.error({ err: error }, 'failed to respond to a request');
      response.destroy();
    });
  });
}

/** Discards the rest of a request, so that its client gets to read the response; closes the connection after a while. */
function drainRequest(request: IncomingMessage): void {
  const closing = setTimeout(() => request.destroy(), drainMs).unref();
  request.once('close', () => clearTimeout(closing));
}

async function route(request: IncomingMessage, response: ServerResponse, routes: HttpRoutes): Promise<void> {
  const requestId = readRequestId(request);
  response.setHeader('x-request-id', requestId);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('cache-control', 'no-store');
  const path = readPath(request);
  if (path === '/health') return respondJson(response, 200, { status: 'ok' });
  if (path === '/ready') {
    const readiness = await routes.checkReadiness();
    return respondJson(response, readiness.ready ? 200 : 503, readiness);
  }
  const isClip = routes.clips.isPath(path);
  if (path !== graphqlPath && !isClip) {
    return respondError(response, 404, 'NOT_FOUND', `Not found. The GraphQL endpoint is ${graphqlPath}.`);
  }

  const { origin, host } = request.headers;
  if (!isAllowedOrigin(origin, host, routes.allowedOrigins)) {
    const message = 'Pages of this origin may not use this server. Add the origin to ALLOWED_ORIGINS.';
    return respondError(response, 403, 'FORBIDDEN', message);
  }
  if (origin !== undefined) response.setHeaders(new Headers(listCorsHeaders(origin)));
  if (request.method === 'OPTIONS') {
    response.writeHead(204).end();
    return;
  }
  if (isClip) return routes.clips.serve(request, response);
  if (routes.serveGraphiql && request.method === 'GET' && request.headers.accept?.includes('text/html')) {
    return routes.serveGraphiql(request, response);
  }
  // With GET, a mere link could change something.
  if (request.method !== 'POST') {
    response.setHeader('allow', 'POST');
    return respondError(response, 405, 'BAD_USER_INPUT', 'Send operations with POST and a JSON body.');
  }
  const { logger, onMasked } = routes;
  await countStatementsIn((statements) =>
    routes.yoga(request, response, {
      operation: new Operation({ requestId, transport: 'http', logger, statements, onMasked }),
      incoming: request,
    }),
  );
}

/** The client's own id for the request if it is well-formed, so that logs can be joined; else a new one. */
function readRequestId(request: IncomingMessage): string {
  const id = request.headers['x-request-id'];
  return typeof id === 'string' && /^[\w.:-]{1,128}$/.test(id) ? id : randomUUID();
}
