import type { Server } from 'node:http';
import type { GraphQLSchema } from 'graphql';
import type { DestinationStream, Logger } from 'pino';
import { mintDevelopmentToken, readDevelopmentRules } from './auth/development.ts';
import { createTokenVerifier, type VerifierConfig } from './auth/verify-token.ts';
import { openEmbeddedPostgres } from './database/embedded.ts';
import { applyMigrations, pendingMigrations } from './database/migrate.ts';
import { type Database, openDatabase } from './db.ts';
import type { Env } from './env.ts';
import { ConversationFeed } from './log/conversation-feed.ts';
import { openModel } from './model.ts';
import { preparePlayground } from './playground.ts';
import { createRateLimit } from './rate-limit.ts';
import { RunHost } from './runs/host.ts';
import { schema } from './schema.ts';
import { createGraphiqlPage } from './server/graphiql.ts';
import { createReadinessCheck } from './server/health.ts';
import { createHttpServer } from './server/http.ts';
import { createLogger } from './server/logging.ts';
import type { Operation } from './server/operation.ts';
import { serveSockets } from './server/sockets.ts';
import { createGraphql } from './server/yoga.ts';
import { KnownViewers } from './tenants/known-viewers.ts';
import { readSeed } from './tenants/seed.ts';

/** A server that is up. */
export interface App extends AsyncDisposable {
  /** `http://host:port`, as one reaches it from here. */
  readonly url: string;
  readonly port: number;
  readonly db: Database;
  readonly runs: RunHost;
  readonly logger: Logger;
  /** Which model answers, in words. */
  readonly modelDescription: string;
  /** A token to begin with. Null where tokens are somebody else's to give. */
  readonly developmentToken: string | null;
  /** Stops in order: no new connections, turns drained, streams and sockets closed, database closed. */
  close(): Promise<void>;
}

/** What can be put in the place of something, for tests. */
export interface AppOverrides {
  readonly schema?: GraphQLSchema;
  readonly logDestination?: DestinationStream;
  /** Told when the embedded database ends by itself: nothing works any more. */
  readonly onDatabaseFailure?: (error: Error) => void;
}

/** Why it did not start, in words for the one who started it. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

const engineLimits = { maxRetries: 2, maxResultLength: 20_000, historyTokens: 32_000 } as const;
const developer = { sub: 'developer', tenant: 'default', roles: ['admin'] } as const;
const developmentTokenSeconds = 7 * 24 * 3600;

/**
 * Wires everything and serves.
 * @throws {StartError} when the database is out of reach or behind, or the port is taken
 */
export async function startApp(env: Env, overrides: AppOverrides = {}): Promise<App> {
  // Whatever was opened is closed again, in reverse: by close(), or here when a later step fails.
  await using opening = new AsyncDisposableStack();
  const logger = createLogger(env.logLevel, overrides.logDestination);
  const seed = await readSeed(env.seedFile).catch((cause: unknown) => {
    throw new StartError(`The seed of SEED_FILE (${env.seedFile}) cannot be used.`, { cause });
  });

  const databaseUrl = env.databaseUrl ?? (await openEmbedded(env, opening, logger, overrides));
  const onConnectionError = (error: Error) => logger.warn({ err: error }, 'a database connection failed');
  const exclusive = env.databaseUrl === null;
  // The embedded database does one thing after another: more connections would only wait inside it.
  const poolSize = exclusive ? 1 : env.databasePoolSize;
  const { db } = opening.use(openDatabase({ url: databaseUrl, poolSize, exclusive, onConnectionError }));
  await assertMigrated(databaseUrl);

  const { endpoint, llm, model, description } = await openModel(env, opening);
  if (env.production && !env.openai) logger.warn('no OPENAI_API_KEY or OPENAI_BASE_URL: the demo model answers');
  const { maxRetries, maxResultLength, historyTokens } = engineLimits;
  const limits = { maxSteps: env.maxSteps, runTimeoutMs: env.runTimeoutSeconds * 1000, maxRetries, maxResultLength };
  const feed = new ConversationFeed();
  const turnLimit = createRateLimit('turns', env.rateLimits.turns);
  warnOfUnused(env, logger);
  const runs = new RunHost({ db, feed, model, logger, endpoint, limits, historyTokens, turnLimit, exclusive });
  await runs.start();
  opening.defer(() => runs.close());

  const verifyToken = createTokenVerifier(await readVerifierConfig(env));
  const developmentToken =
    env.tokens.kind === 'development'
      ? await mintDevelopmentToken(env.dataDir, { ...developer, ttlSeconds: developmentTokenSeconds })
      : null;
  const viewers = new KnownViewers(db, seed);
  const onMasked = ({ viewer }: Operation) => viewer && viewers.forget(viewer);
  const yoga = createGraphql({
    schema: overrides.schema ?? schema,
    floors: { db, runs, feed, defaultLlm: llm },
    verifyToken,
    meet: (viewer) => viewers.meet(viewer),
    production: env.production,
  });
  const shared = { yoga, allowedOrigins: env.allowedOrigins, logger, onMasked };
  const server = createHttpServer({
    ...shared,
    checkReadiness: createReadinessCheck({
      reachDatabase: () => db.$queryRaw`SELECT 1`,
      listPendingMigrations: () => pendingMigrations(databaseUrl),
    }),
    serveGraphiql: env.graphiql
      ? createGraphiqlPage(() => preparePlayground({ token: developmentToken, verifyToken, db, viewers }))
      : null,
  });
  const sockets = serveSockets(server, {
    ...shared,
    verifyToken,
    socketsPerUser: env.socketsPerUser,
    socketLimit: createRateLimit('new sockets', env.rateLimits.sockets),
  });
  const port = await listen(server, env);

  const opened = opening.move();
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Readers stay until the turns are over: each hears how its own ended.
      await runs.close();
      await sockets.close();
      server.closeAllConnections();
      await closed;
      await opened.disposeAsync();
    })();
    return closing;
  };
  const host = /^(0\.0\.0\.0|::)$/.test(env.host) ? 'localhost' : env.host;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  logger.info({ url, model: description }, 'listening');
  return {
    url,
    port,
    db,
    runs,
    logger,
    modelDescription: description,
    developmentToken,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** An operator who sets what nothing reads yet should not believe in it. */
function warnOfUnused(env: Env, logger: Logger): void {
  const given = {
    REDIS_URL: env.redisUrl,
    MODEL_ALLOWED_HOSTS: env.modelAllowedHosts[0],
    RATE_LIMIT_AGENT_OPERATIONS: env.rateLimits.agentOperations,
    RATE_LIMIT_TOOLS: env.rateLimits.tools,
  };
  const unused = Object.entries(given).flatMap(([name, value]) => (value ? [name] : []));
  if (unused.length > 0) logger.warn({ unused }, 'these variables are set, and this version makes no use of them yet');
}

async function openEmbedded(
  env: Env,
  opening: AsyncDisposableStack,
  logger: Logger,
  { onDatabaseFailure }: AppOverrides,
): Promise<string> {
  const postgres = opening.use(
    await openEmbeddedPostgres(env.dataDir, (error) => {
      logger.fatal({ err: error }, 'the embedded database ended');
      onDatabaseFailure?.(error);
    }),
  );
  const applied = await applyMigrations(postgres.url);
  if (applied.length > 0) logger.info({ migrations: applied }, 'migrations were applied');
  return postgres.url;
}

async function assertMigrated(databaseUrl: string): Promise<void> {
  const pending = await pendingMigrations(databaseUrl).catch((cause: unknown) => {
    throw new StartError('The database of DATABASE_URL cannot be used.', { cause });
  });
  if (pending.length === 0) return;
  throw new StartError(`The database is behind. Apply its migrations with npm run migrate: ${pending.join(', ')}`);
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

function listen(server: Server, { host, port }: Env): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === 'EADDRINUSE'
          ? `Port ${port} of ${host} is taken: stop what listens there, or set PORT.`
          : `It cannot listen on ${host}:${port}.`;
      reject(new StartError(why, { cause }));
    });
    server.listen(port, host, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new StartError('It listens on no port.'));
      else resolve(address.port);
    });
  });
}
