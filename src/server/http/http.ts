import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { ErrorCode } from '../../api/errors.ts';
import { countStatementsIn } from '../../database/statements.ts';
import { Operation } from '../operation.ts';
import { graphqlPath, type Yoga } from '../plugins/yoga.ts';
import type { Readiness } from './health.ts';
import { isAllowedOrigin, listCorsHeaders } from './origins.ts';
import { maxUploadMs } from './uploads.ts';

/** How long the headers of a request may take, in milliseconds. */
const headersTimeout = 20_000;
/** How long a whole request may, in milliseconds: where its body is read, body.ts answers before. */
const requestTimeout = maxUploadMs + 20_000;
/** How long what is left of a request is thrown away when it has been answered, in milliseconds. */
const lingerMs = 10_000;

type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** What the routes lead to. */
export interface HttpRoutes {
  readonly yoga: Yoga;
  readonly checkReadiness: () => Promise<Readiness>;
  /** Answers with GraphiQL. Null: there is none. */
  readonly serveGraphiql: Route | null;
  /** Answers with clips, at the paths that it knows. */
  readonly clips: { readonly isPath: (path: string) => boolean; readonly serve: Route };
  readonly allowedOrigins: readonly string[];
  readonly logger: Logger;
  /** Told of each failure that had to be masked. */
  readonly onMasked: (operation: Operation) => void;
}

/** Makes the HTTP server: /graphql, /speech, /health (it lives) and /ready (send it requests). It does not listen yet. */
export function createHttpServer(routes: HttpRoutes): Server {
  const server = createServer({ headersTimeout, requestTimeout }, (request, response) => {
    response.once('finish', () => {
      if (!request.complete) drainRequest(request);
    });
    route(request, response, routes).catch((error: unknown) => {
      routes.logger.error({ err: error }, 'a request was not answered');
      response.destroy();
    });
  });
  return server;
}

/** Throws the rest of a request away, so that its sender gets to the answer, and closes the connection where it drags on. */
function drainRequest(request: IncomingMessage): void {
  const closing = setTimeout(() => request.destroy(), lingerMs).unref();
  request.once('close', () => clearTimeout(closing));
}

/** The path of a request, without its query. */
export function readPath(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}

async function route(request: IncomingMessage, response: ServerResponse, routes: HttpRoutes): Promise<void> {
  const requestId = readRequestId(request);
  response.setHeader('x-request-id', requestId);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('cache-control', 'no-store');
  const path = readPath(request);
  if (path === '/health') return answer(response, 200, { status: 'ok' });
  if (path === '/ready') {
    const readiness = await routes.checkReadiness();
    return answer(response, readiness.ready ? 200 : 503, readiness);
  }
  const isClip = routes.clips.isPath(path);
  if (path !== graphqlPath && !isClip) {
    return refuse(response, 404, 'NOT_FOUND', `Nothing is here; GraphQL is at ${graphqlPath}.`);
  }

  const { origin, host } = request.headers;
  if (!isAllowedOrigin(origin, host, routes.allowedOrigins)) {
    return refuse(response, 403, 'FORBIDDEN', 'Pages of this origin may not use this server (ALLOWED_ORIGINS).');
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
  // With GET, a link could act.
  if (request.method !== 'POST') {
    response.setHeader('allow', 'POST');
    return refuse(response, 405, 'BAD_USER_INPUT', 'Operations are sent with POST and a JSON body.');
  }
  const { logger, onMasked } = routes;
  await countStatementsIn((statements) =>
    routes.yoga(request, response, {
      operation: new Operation({ requestId, transport: 'http', logger, statements, onMasked }),
      incoming: request,
    }),
  );
}

/** The caller's own id for the request where it is a sane one, so that logs can be joined. */
function readRequestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}

/** Refuses in the form that GraphQL clients can read. */
export function refuse(response: ServerResponse, status: number, code: ErrorCode, message: string): void {
  answer(response, status, { errors: [{ message, extensions: { code } }] });
}
