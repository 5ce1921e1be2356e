import { hash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { countStatementsIn, type StatementTally } from '../../database/statements.ts';
import { FairTurns } from '../../event-loop/fair-turns.ts';
import type { AnswerBytes } from '../../limits/answer-bytes.ts';
import { collectQuotas, listQuotaHeaders, type Quota } from '../../limits/quotas.ts';
import { inNewScope } from '../../telemetry/scope.ts';
import { Operation } from '../operation/operation.ts';
import { readRequestId } from '../operation/request-id.ts';
import type { Yoga } from '../plugins/yoga.ts';
import { readClientAddress } from '../requests/client-address.ts';
import { namesDocument } from '../requests/operation-form.ts';
import { type AllowsOrigin, forbiddenOrigin, listCorsHeaders } from '../requests/origins.ts';
import { graphqlPath, isValidHost, readPath } from '../requests/path.ts';
import { maxUploadMs } from '../requests/read-upload.ts';
import { respondError, respondJson } from '../requests/respond.ts';
import { guardConnections } from './connections.ts';
import { isFavicon, serveFavicon } from './favicon.ts';
import type { Readiness } from './health.ts';
import { metricsPath } from './metrics.ts';
import { sendResponse } from './send-response.ts';
import type { WebPage } from './web-page.ts';

/** How long the headers of a request may take, in milliseconds. */
const headersTimeout = 20_000;
/** How long a whole request may take, in milliseconds. The limits of body.ts are lower: they send a response. */
const requestTimeout = maxUploadMs + 20_000;
/** How long the rest of a request is discarded after its response was sent, in milliseconds. */
const drainMs = 10_000;

/** How many operations are begun in one turn of the event loop; those of each address and token in turn. */
const requestsPerTurn = 4;

/** What strangers are answered is short. */
const uncounted: Disposable = { [Symbol.dispose]() {} };

type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** What the routes lead to. */
export interface HttpRoutes {
  readonly yoga: Yoga;
  /** How long an idle connection stays open, in milliseconds: longer than load balancers keep theirs. */
  readonly keepAliveMs: number;
  /** Whether the server is stopping: each connection is closed after its response. */
  readonly isDraining: () => boolean;
  readonly checkReadiness: () => Promise<Readiness>;
  /** Answers GET /metrics. Null: there is no such path here. */
  readonly serveMetrics: Route | null;
  /** Serves the page of GraphiQL. Null: it is switched off. */
  readonly serveGraphiql: Route | null;
  /** The chat page. Null: it is switched off. */
  readonly webPage: WebPage | null;
  /** Serves spoken clips and exports at the paths for which `isPath` is true. */
  readonly files: { readonly isPath: (path: string) => boolean; readonly serve: Route };
  readonly allowsOrigin: AllowsOrigin;
  /** How many proxies stand in front of this server; see readClientAddress. */
  readonly trustedProxies: number;
  /** Counts the bytes of answers until their clients have taken them. */
  readonly answers: AnswerBytes;
  readonly logger: Logger;
  /** Called after each failure that was masked. */
  readonly onMasked: (operation: Operation) => void;
}

/** Creates the HTTP server: /graphql, /speech, /health (liveness), /ready (readiness) and, if it is open, /metrics. It does not listen yet. */
export function createHttpServer(routes: HttpRoutes): Server {
  // The route checks the Host header, to answer in our own form.
  const options = { headersTimeout, requestTimeout, keepAliveTimeout: routes.keepAliveMs, requireHostHeader: false };
  const server = createServer(options);
  const withTurns = { ...routes, turns: new FairTurns(requestsPerTurn) };
  guardConnections(server);
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.socket.destroyed) return;
    response.once('finish', () => {
      if (!request.complete) drainRequest(request);
    });
    const requestId = readRequestId(request.headers['x-request-id']);
    route(request, response, withTurns, requestId).catch((error: unknown) => {
      routes.logger.error({ requestId, err: error }, 'failed to respond to a request');
      if (response.headersSent) response.destroy();
      else respondError(response, 500, 'INTERNAL', 'Something went wrong.');
    });
  });
  return server;
}

/** Discards the rest of a request, so that its client gets to read the response; closes the connection after a while. */
function drainRequest(request: IncomingMessage): void {
  const closing = setTimeout(() => request.destroy(), drainMs).unref();
  request.once('close', () => clearTimeout(closing));
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  routes: HttpRoutes & { readonly turns: FairTurns },
  requestId: string,
): Promise<void> {
  if (routes.isDraining()) response.setHeader('connection', 'close');
  response.setHeader('x-request-id', requestId);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('cache-control', 'no-store');
  const path = readPath(request);
  if (path === '/health') return respondJson(response, 200, { status: 'ok' });
  if (path === '/ready') {
    const readiness = await routes.checkReadiness();
    return respondJson(response, readiness.ready ? 200 : 503, readiness);
  }
  if (path === metricsPath && routes.serveMetrics) return routes.serveMetrics(request, response);
  if (!isValidHost(request.headers.host)) {
    return respondError(response, 400, 'BAD_USER_INPUT', 'The Host header is missing or not valid.');
  }
  if (isFavicon(request, path)) return serveFavicon(request, response);
  if (routes.webPage?.isPath(path)) return routes.webPage.serve(request, response);
  const isFile = routes.files.isPath(path);
  if (path !== graphqlPath && !isFile) {
    return respondError(response, 404, 'NOT_FOUND', `Not found. The GraphQL endpoint is ${graphqlPath}.`);
  }

  const { origin, host } = request.headers;
  if (!routes.allowsOrigin(origin, host)) return respondError(response, 403, 'FORBIDDEN', forbiddenOrigin);
  if (origin !== undefined) {
    const requested = request.headers['access-control-request-headers'];
    response.setHeaders(new Headers(listCorsHeaders(origin, requested)));
  }
  if (request.method === 'OPTIONS') {
    response.writeHead(204).end();
    return;
  }
  if (isFile) return routes.files.serve(request, response);
  if (routes.serveGraphiql && request.method === 'GET' && request.headers.accept?.includes('text/html')) {
    return routes.serveGraphiql(request, response);
  }
  // A GET names a persisted document: with any other, a mere link could send one.
  const isPersistedGet = request.method === 'GET' && namesDocument(request.url ?? '');
  if (request.method !== 'POST' && !isPersistedGet) {
    response.setHeader('allow', 'POST');
    return respondError(response, 405, 'BAD_USER_INPUT', 'Send operations with POST and a JSON body.');
  }
  // Whose it is, as far as one can tell before anything is verified. A stranger can invent tokens, but no addresses.
  const address = readClientAddress(request, routes.trustedProxies);
  const turn = routes.turns.wait(address, nameToken(request.headers.authorization));
  if (turn) await turn;
  if (request.socket.destroyed) return;
  const { logger, onMasked } = routes;
  const respond = async (statements: StatementTally, quotas: ReadonlyMap<string, Quota>) => {
    const { traceparent } = request.headers;
    const operation = new Operation({ requestId, transport: 'http', traceparent, logger, statements, onMasked });
    // Also if the client disconnects before there is a result.
    response.once('close', () => {
      operation.finish();
      operation.sent();
    });
    const result = await routes.yoga.handleNodeRequestAndResponse(request, response, {
      operation,
      incoming: request,
      address,
    });
    // Yoga's own response to an Accept header that nothing fits has no body.
    if (result.status === 406) {
      const message = 'Accept application/json, application/graphql-response+json or text/event-stream.';
      return respondError(response, 406, 'BAD_USER_INPUT', message);
    }
    if (isPersistedGet && result.status === 200) {
      // The browser of the user may store it, and has to ask before it is used again; nobody between may.
      response.setHeader('cache-control', 'private, no-cache');
      response.appendHeader('vary', 'authorization, accept');
    }
    for (const [name, value] of Object.entries(listQuotaHeaders(quotas.values()))) response.setHeader(name, value);
    await sendResponse(result, response, (bytes, end) => {
      operation.sent();
      const reader = operation.viewer ?? operation.stranger;
      return reader ? routes.answers.add(reader, bytes, end) : uncounted;
    });
  };
  await inNewScope(() => countStatementsIn((statements) => collectQuotas((quotas) => respond(statements, quotas))));
}

/** Names who sends a token without keeping it: thousands may wait, and each may have sent 16 KB. */
function nameToken(authorization: string | undefined): string {
  return authorization === undefined ? '' : hash('sha256', authorization, 'base64url');
}
