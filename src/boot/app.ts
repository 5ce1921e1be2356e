import type { Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GraphQLSchema } from 'graphql';
import type { DestinationStream, Logger } from 'pino';
import { StartError } from '../api/errors.ts';
import { mintDevelopmentToken, readDevelopmentRules } from '../auth/development.ts';
import { rememberTokens } from '../auth/remember-tokens.ts';
import { createTokenVerifier, type VerifierConfig } from '../auth/verify-token.ts';
import type { Env } from '../config/env.ts';
import { pendingMigrations } from '../database/migrate.ts';
import type { Runtimes } from '../graphql/context.ts';
import { AnswerBytes } from '../limits/answer-bytes.ts';
import { AnswerPace } from '../limits/answer-pace.ts';
import { ConcurrencyLimit } from '../limits/concurrency-limit.ts';
import { createRateLimit } from '../limits/rate-limit.ts';
import { SharedConcurrencyLimit } from '../limits/shared-limit.ts';
import type { RunScheduler } from '../runs/scheduler/scheduler.ts';
import { closeServer } from '../server/http/close-server.ts';
import { createFileRoute, isFilePath } from '../server/http/files.ts';
import { createGraphiqlPage } from '../server/http/graphiql.ts';
import { createReadinessCheck } from '../server/http/health.ts';
import { createHttpServer } from '../server/http/http.ts';
import { type Listening, listenOn } from '../server/http/listen.ts';
import { createMetricsRoute } from '../server/http/metrics.ts';
import { OpenResponses } from '../server/http/open-responses.ts';
import { createWebPage } from '../server/http/web-page.ts';
import type { Operation } from '../server/operation/operation.ts';
import { createGraphql } from '../server/plugins/yoga.ts';
import { createOriginCheck } from '../server/requests/origins.ts';
import { PersistedDocuments } from '../server/requests/persisted-documents.ts';
import { readTrustedDocuments } from '../server/requests/trusted-documents.ts';
import { serveSockets } from '../server/sockets/sockets.ts';
import { compose } from './compose.ts';
import { connectStores, type StoreOptions } from './connect-stores.ts';
import { createLogger } from './logger.ts';
import { exportTraces, serveMetrics } from './observe.ts';
import { preparePlayground } from './playground.ts';
import { schema } from './schema.ts';

/** A running server. */
export interface App extends Runtimes, AsyncDisposable {
  /** `http://host:port`, as it is reached from this machine. */
  readonly url: string;
  readonly port: number;
  /** The port at which the metrics are served; null: they have none of their own. */
  readonly metricsPort: number | null;
  readonly runs: RunScheduler;
  readonly logger: Logger;
  /** Names the default model. */
  readonly modelDescription: string;
  /** An access token for development. Null: tokens come from the configured issuer. */
  readonly developmentToken: string | null;
  /** Stops in order: not ready any more, turns drained or handed over, streams and sockets closed, database closed. */
  close(): Promise<void>;
}

/** What tests can replace. */
export interface AppOverrides extends StoreOptions {
  readonly schema?: GraphQLSchema;
  readonly logDestination?: DestinationStream;
}

/** How often strangers may read shared conversations: those of one address, and all of them. */
const sharedRates = { user: { points: 60, seconds: 60 }, tenant: { points: 3_000, seconds: 60 } } as const;

/** How often files of a user, of a tenant and of all are read by signed addresses at the same time: whoever has one may do so. */
const signedBounds = { user: 96, tenant: 300, process: 2_000 } as const;
/** How often one file is. */
const signedFileBounds = { user: 32, tenant: null, process: null } as const;

const developer = { sub: 'developer', tenant: 'default', roles: ['admin'] } as const;
/** How long a user with too many sockets is told to wait. */
const socketRetryAfterMs = 5_000;
/** The part of DRAIN_SECONDS in which load balancers notice that an instance stops: no socket is sent elsewhere before. */
const noticePart = 0.4;
const developmentTokenSeconds = 7 * 24 * 3600;
/** The token in the page of GraphiQL; a reload brings a new one. */
const pageTokenSeconds = 3600;

/**
 * Composes everything and serves.
 * @throws {StartError} when the database is unreachable or lacks migrations, a file is invalid, or the port is in use
 */
export async function startApp(env: Env, overrides: AppOverrides = {}): Promise<App> {
  // Everything that was opened is closed in reverse order: by close(), or here if a later step fails.
  await using opening = new AsyncDisposableStack();
  const logger = createLogger(env.logLevel, overrides.logDestination);
  // First of all, so that it is closed last: what closes before it has spans to export.
  await exportTraces(env, opening);
  const stores = await connectStores(env, logger, opening, overrides);
  const answers = new AnswerBytes(
    env.connections.answers,
    (load) => logger.warn(load, 'large answers wait for others to be read, or are refused'),
    new AnswerPace(env.rateLimits.answerBytes),
  );
  const parts = await compose(env, stores, { logger, answers }, opening);
  const { databaseUrl, redis, counts, sharedLog } = stores;
  const { runtimes, viewers, modelDescription } = parts;
  const { db, runs, feed } = runtimes;

  const verifyToken = rememberTokens(createTokenVerifier(await readVerifierConfig(env)));
  const isDevelopment = env.tokens.kind === 'development';
  const mint = (ttlSeconds: number) => mintDevelopmentToken(env.dataDir, { ...developer, ttlSeconds });
  const developmentToken = isDevelopment ? await mint(developmentTokenSeconds) : null;
  const mintToken = isDevelopment ? () => mint(pageTokenSeconds) : null;
  const onMasked = ({ viewer }: Operation) => viewer && viewers.forget(viewer);
  const { sockets: socketBounds, operations: operationBounds, unauthenticatedSockets } = env.connections;
  const { eventStreams: streamBounds } = env.connections;
  const openOperations = new ConcurrencyLimit('open operations', operationBounds);
  const served = overrides.schema ?? schema;
  const documents = await openDocuments(env, served, logger);
  const yoga = createGraphql({
    schema: served,
    documents,
    dependencies: { ...runtimes, answers },
    verifyToken,
    ensureProvisioned: (viewer) => viewers.ensureProvisioned(viewer),
    openOperations,
    openStreams: new SharedConcurrencyLimit('event streams', { ...streamBounds, process: null }, { counts }),
    sharedLimit: createRateLimit('readings of shared conversations', sharedRates, redis),
    mutationLimit: createRateLimit('changes', env.rateLimits.mutations, redis),
  });
  const allowsOrigin = createOriginCheck({ allowed: env.allowedOrigins, production: env.production, logger });
  const { trustedProxies } = env;
  const shared = { yoga, documents, allowsOrigin, answers, trustedProxies, logger, onMasked };
  let draining = false;
  const isDraining = () => draining;
  const readiness = createReadinessCheck({
    queryDatabase: async () => {
      // What is ready takes turns: it would refuse them until it has noticed that the database is back.
      stores.availability.assertAvailable();
      await db.$queryRaw`SELECT 1`;
    },
    listPendingMigrations: () => pendingMigrations(databaseUrl),
    isDraining,
    isRenewing: () => runs.isRenewing,
    checkRedis: sharedLog && (() => sharedLog.probe()),
  });
  const server = createHttpServer({
    ...shared,
    keepAliveMs: env.keepAliveSeconds * 1000,
    isDraining,
    files: {
      isPath: isFilePath,
      serve: createFileRoute({
        db,
        keys: runtimes.attachments.keys,
        store: runtimes.attachments.store,
        verifyToken,
        openOperations,
        signedReads: {
          ofFile: new ConcurrencyLimit('readings of a signed address', signedFileBounds, 1_000, 'per file'),
          ofOwner: new ConcurrencyLimit('readings of signed addresses', signedBounds, 1_000, 'of one user’s files'),
        },
      }),
    },
    serveMetrics: env.metrics?.port === null ? createMetricsRoute(env.metrics.token) : null,
    checkReadiness: () => readiness.check(),
    webPage: env.web ? createWebPage(mintToken, env.openai && `${env.openai.baseUrl}/realtime/calls`) : null,
    serveGraphiql: env.graphiql
      ? createGraphiqlPage(() => preparePlayground({ mintToken, verifyToken, db, feed, viewers }))
      : null,
  });
  const responses = new OpenResponses(server);
  const sockets = serveSockets(server, {
    ...shared,
    verifyToken,
    openOperations,
    tokenPerOperation: env.graphiql,
    limits: {
      open: new SharedConcurrencyLimit('sockets', socketBounds, { counts, retryAfterMs: socketRetryAfterMs }),
      rate: createRateLimit('new sockets', env.rateLimits.sockets, redis),
    },
    unauthenticated: unauthenticatedSockets,
  });
  const observed = {
    runs,
    feed,
    sharedLog,
    sockets,
    responses,
    pools: { main: stores.pool, upkeep: stores.upkeep },
  };
  const metricsPort = await serveMetrics(env, observed, { logger, opening });
  const listening = await listen(server, env);
  const { port } = listening;

  const opened = opening.move();
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      // Readiness fails first. Who still connects gets an answer, and no reset, until the turns are over.
      draining = true;
      const graceMs = env.drainSeconds * 1000;
      // Until a load balancer has noticed, it sends turns and sockets here, and nobody may hear of that. With the embedded
      // database, there is no other instance that it could send them to.
      const isBalanced = readiness.isWatched && !stores.exclusive;
      runs.sendAway();
      sockets.drain(graceMs, isBalanced ? graceMs * noticePart : 0);
      if (isBalanced) await sleep(graceMs);
      sockets.refuse();
      const turns = Promise.all([runs.close(isBalanced ? 0 : graceMs), parts.jobs.close()]);
      await parts.endCalls();
      await turns;
      await sockets.close();
      await closeServer(server, listening, responses);
      await opened.disposeAsync();
    })();
    return closing;
  };
  const host = /^(0\.0\.0\.0|::)$/.test(env.host) ? 'localhost' : env.host;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  logger.info({ url, model: modelDescription }, 'listening');
  return {
    ...runtimes,
    url,
    port,
    metricsPort,
    logger,
    modelDescription,
    developmentToken,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Reads the trusted documents. Those that the schema does not allow are logged: old clients may still send them. */
async function openDocuments(env: Env, served: GraphQLSchema, logger: Logger): Promise<PersistedDocuments> {
  const { path = null, only = false } = env.trustedDocuments ?? {};
  if (path === null) return new PersistedDocuments({ trusted: null, trustedOnly: false });
  const trusted = await readTrustedDocuments(path).catch((cause: unknown) => {
    throw new StartError(`The documents of TRUSTED_DOCUMENTS (${path}) cannot be used.`, { cause });
  });
  const invalid = trusted.explainInvalid(served);
  if (invalid.length > 0) logger.warn({ invalid }, 'trusted documents are not valid with this schema');
  logger.info({ documents: trusted.size, only }, 'read trusted documents');
  return new PersistedDocuments({ trusted, trustedOnly: only });
}

async function readVerifierConfig({ tokens, dataDir }: Env): Promise<VerifierConfig> {
  if (tokens.kind === 'development') return readDevelopmentRules(dataDir);
  const { issuer, audience, tenantClaim, rolesClaim } = tokens;
  const key =
    tokens.kind === 'secret'
      ? { kind: tokens.kind, secret: new TextEncoder().encode(tokens.secret) }
      : { kind: tokens.kind, url: tokens.url };
  return { key, issuer, audience, tenantClaim, rolesClaim };
}

async function listen(server: Server, { host, port }: Env): Promise<Listening> {
  try {
    return await listenOn(server, port, host);
  } catch (cause) {
    const isTaken = cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
    const message = isTaken
      ? `Port ${port} of ${host} is in use. Stop the other process, or set PORT.`
      : `Cannot listen on ${host}:${port}. Check HOST and PORT.`;
    throw new StartError(message, { cause });
  }
}
