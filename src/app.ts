import type { Server } from 'node:http';
import type { GraphQLSchema } from 'graphql';
import type { DestinationStream, Logger } from 'pino';
import { addDevelopmentAgent, readEnvironmentProviders } from './agents/development-agent.ts';
import type { AgentHost } from './agents/host.ts';
import { mintDevelopmentToken, readDevelopmentRules } from './auth/development.ts';
import { createTokenVerifier, type VerifierConfig } from './auth/verify-token.ts';
import { ConfigCache } from './config-cache.ts';
import { type ChangeListener, listenForChanges } from './database/changes.ts';
import { type EmbeddedPostgres, openEmbeddedPostgres } from './database/embedded.ts';
import { applyMigrations, pendingMigrations } from './database/migrate.ts';
import { type Database, openDatabase } from './db.ts';
import type { Env } from './env.ts';
import { StartError } from './errors.ts';
import { ConversationFeed } from './log/conversation-feed.ts';
import { openModel } from './model.ts';
import { preparePlayground } from './playground.ts';
import { AddressGuard } from './providers/guard.ts';
import { createRateLimit } from './rate-limit.ts';
import { openRedis } from './redis.ts';
import { RunHost } from './runs/host.ts';
import { ScenarioFileError } from './scenario-files/scenario-file.ts';
import { ScenarioFolder } from './scenario-files/scenario-folder.ts';
import { schema } from './schema.ts';
import { openKeyRing } from './secrets/open-key-ring.ts';
import { createClipRoute, isClipPath } from './server/clips.ts';
import { createGraphiqlPage } from './server/graphiql.ts';
import { createReadinessCheck } from './server/health.ts';
import { createHttpServer } from './server/http.ts';
import { createLogger } from './server/logging.ts';
import type { Operation } from './server/operation.ts';
import { serveSockets } from './server/sockets.ts';
import { createGraphql } from './server/yoga.ts';
import { SpeechHost } from './speech/host.ts';
import { KnownViewers } from './tenants/known-viewers.ts';
import { readSeed } from './tenants/seed.ts';
import { ToolRegistry } from './tools/registry.ts';
import { type OperatorTools, readToolsFile } from './tools/tools-file.ts';

/** A server that is up. */
export interface App extends AsyncDisposable {
  /** `http://host:port`, as one reaches it from here. */
  readonly url: string;
  readonly port: number;
  readonly db: Database;
  readonly runs: RunHost;
  readonly speech: SpeechHost;
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
  /** The embedded database of the data folder, where somebody has begun to open it before: then it is closed here. */
  readonly embedded?: Promise<EmbeddedPostgres>;
  /** Told when the embedded database ends by itself: nothing works any more. */
  readonly onDatabaseFailure?: (error: Error) => void;
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

  const guard = new AddressGuard(env.modelAllowedHosts);
  const { model, defaults, description } = await openModel(env, guard, opening);
  if (env.production && !env.openai) logger.warn('no OPENAI_API_KEY or OPENAI_BASE_URL: the demo model answers');
  const { maxRetries, maxResultLength, historyTokens } = engineLimits;
  const limits = { maxSteps: env.maxSteps, runTimeoutMs: env.runTimeoutSeconds * 1000, maxRetries, maxResultLength };
  const feed = new ConversationFeed();
  const onOutage = (error: Error) =>
    logger.warn({ err: error }, 'Redis is out of reach: this process counts by itself');
  const redis = env.redisUrl === null ? null : opening.use(openRedis(env.redisUrl, env.redisPrefix, onOutage));
  const limitOf = (what: string, rates: Env['rateLimits']['turns']) => createRateLimit(what, rates, redis);
  const config = new ConfigCache();
  if (!exclusive) opening.use(await listenForConfiguration(databaseUrl, config, logger));
  const keys = await openKeyRing(env);
  const operationLimit = limitOf('changes of agents, scenarios and tools', env.rateLimits.agentOperations);
  const callLimit = limitOf('tool calls', env.rateLimits.tools);
  const operator = await readOperatorTools(env);
  const tools = opening.use(
    new ToolRegistry({ db, keys, config, guard, logger, callLimit, changeLimit: operationLimit, operator }),
  );
  const ending = new AbortController();
  const agents: AgentHost = {
    db,
    keys,
    config,
    defaults,
    guard,
    model,
    logger,
    operationLimit,
    testLimit: limitOf('tests of agents', env.rateLimits.agentTests),
    testTimeoutMs: env.agentTestTimeoutSeconds * 1000,
    closing: ending.signal,
    tests: new Set(),
    toolNames: async (viewer) => new Set((await tools.listTools(viewer)).map((tool) => tool.name)),
  };
  const turnLimit = limitOf('turns', env.rateLimits.turns);
  const { approvalTtlSeconds } = env;
  const turning = { model, logger, agents, tools, limits, historyTokens, turnLimit, approvalTtlSeconds };
  const runs = new RunHost({ db, feed, exclusive, ...turning });
  await runs.start();
  opening.defer(() => runs.close());

  const speechLimit = limitOf('speech requests', env.rateLimits.speech);
  const speech = new SpeechHost({ db, agents, limit: speechLimit, ttlMs: env.speechTtlSeconds * 1000, logger });
  speech.start();
  opening.defer(() => speech.close());

  const verifyToken = createTokenVerifier(await readVerifierConfig(env));
  const developmentToken =
    env.tokens.kind === 'development'
      ? await mintDevelopmentToken(env.dataDir, { ...developer, ttlSeconds: developmentTokenSeconds })
      : null;
  const providers = readEnvironmentProviders(env);
  const scenarioFiles = await loadScenarioFiles(env, agents, operator);
  const viewers = new KnownViewers(db, seed, async (tenantId) => {
    await addDevelopmentAgent(agents, tenantId, providers);
    await scenarioFiles.load(tenantId);
  });
  const onMasked = ({ viewer }: Operation) => viewer && viewers.forget(viewer);
  const yoga = createGraphql({
    schema: overrides.schema ?? schema,
    floors: { db, runs, feed, speech },
    verifyToken,
    meet: (viewer) => viewers.meet(viewer),
    production: env.production,
  });
  const shared = { yoga, allowedOrigins: env.allowedOrigins, logger, onMasked };
  const server = createHttpServer({
    ...shared,
    clips: { isPath: isClipPath, serve: createClipRoute({ db, verifyToken }) },
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
    socketLimit: limitOf('new sockets', env.rateLimits.sockets),
  });
  const port = await listen(server, env);

  const opened = opening.move();
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Tests of agents end, and are written down.
      ending.abort();
      await Promise.allSettled(agents.tests);
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
    speech,
    logger,
    modelDescription: description,
    developmentToken,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The files of SCENARIOS_DIR, loaded for the tenants that there are. */
async function loadScenarioFiles(env: Env, agents: AgentHost, givenTools: OperatorTools): Promise<ScenarioFolder> {
  try {
    const files = await ScenarioFolder.open({ ...agents, givenTools }, env.scenariosDir);
    await files.loadAll();
    return files;
  } catch (cause) {
    if (!(cause instanceof ScenarioFileError)) throw cause;
    throw new StartError(`The scenarios of SCENARIOS_DIR (${env.scenariosDir}) cannot be loaded.`, { cause });
  }
}

/** What is remembered of tenants is dropped when the database says that it has changed. */
function listenForConfiguration(url: string, config: ConfigCache, logger: Logger): Promise<ChangeListener> {
  return listenForChanges(url, {
    change: (tenantId) => config.drop(tenantId),
    gap: () => config.clear(),
    error: (error) => logger.warn({ err: error }, 'the connection that listens for changes was lost'),
  });
}

async function openEmbedded(
  env: Env,
  opening: AsyncDisposableStack,
  logger: Logger,
  overrides: AppOverrides,
): Promise<string> {
  const postgres = opening.use(
    await (overrides.embedded ??
      openEmbeddedPostgres(env.dataDir, (error) => {
        logger.fatal({ err: error }, 'the embedded database ended');
        overrides.onDatabaseFailure?.(error);
      })),
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

/** The tools that the operator gives to every tenant. */
function readOperatorTools({ toolsFile }: Env): Promise<OperatorTools> {
  return readToolsFile(toolsFile).catch((cause: unknown) => {
    throw new StartError('The tools of TOOLS_FILE cannot be used.', { cause });
  });
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
