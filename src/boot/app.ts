import type { Server } from 'node:http';
import type { GraphQLSchema } from 'graphql';
import type { DestinationStream, Logger } from 'pino';
import { StartError } from '../api/errors.ts';
import { mintDevelopmentToken, readDevelopmentRules } from '../auth/development.ts';
import { createTokenVerifier, type VerifierConfig } from '../auth/verify-token.ts';
import type { Env } from '../config/env.ts';
import type { Database } from '../database/client.ts';
import { pendingMigrations } from '../database/migrate.ts';
import { createRateLimit } from '../limits/rate-limit.ts';
import type { RunScheduler } from '../runs/scheduler.ts';
import { createClipRoute, isClipPath } from '../server/http/clips.ts';
import { createGraphiqlPage } from '../server/http/graphiql.ts';
import { createReadinessCheck } from '../server/http/health.ts';
import { createHttpServer } from '../server/http/http.ts';
import { createLogger } from '../server/logging.ts';
import type { Operation } from '../server/operation.ts';
import { createGraphql } from '../server/plugins/yoga.ts';
import { serveSockets } from '../server/sockets/sockets.ts';
import type { SpeechRuntime } from '../speech/dependencies.ts';
import { compose } from './compose.ts';
import { connectStores, type EmbeddedOptions } from './connect-stores.ts';
import { preparePlayground } from './playground.ts';
import { schema } from './schema.ts';

/** A server that is up. */
export interface App extends AsyncDisposable {
  /** `http://host:port`, as one reaches it from here. */
  readonly url: string;
  readonly port: number;
  readonly db: Database;
  readonly runs: RunScheduler;
  readonly speech: SpeechRuntime;
  readonly logger: Logger;
  /** Which model answers, in words. */
  readonly modelDescription: string;
  /** A token to begin with. Null where tokens are somebody else's to give. */
  readonly developmentToken: string | null;
  /** Stops in order: no new connections, turns drained, streams and sockets closed, database closed. */
  close(): Promise<void>;
}

/** What can be put in the place of something, for tests. */
export interface AppOverrides extends EmbeddedOptions {
  readonly schema?: GraphQLSchema;
  readonly logDestination?: DestinationStream;
}

const developer = { sub: 'developer', tenant: 'default', roles: ['admin'] } as const;
const developmentTokenSeconds = 7 * 24 * 3600;

/**
 * Wires everything and serves.
 * @throws {StartError} when the database is out of reach or behind, a file cannot be used, or the port is taken
 */
export async function startApp(env: Env, overrides: AppOverrides = {}): Promise<App> {
  // Whatever was opened is closed again, in reverse: by close(), or here when a later step fails.
  await using opening = new AsyncDisposableStack();
  const logger = createLogger(env.logLevel, overrides.logDestination);
  const stores = await connectStores(env, logger, opening, overrides);
  const hosts = await compose(env, stores, logger, opening);
  const { db, databaseUrl, redis } = stores;
  const { runs, feed, speech, viewers, modelDescription } = hosts;

  const verifyToken = createTokenVerifier(await readVerifierConfig(env));
  const developmentToken =
    env.tokens.kind === 'development'
      ? await mintDevelopmentToken(env.dataDir, { ...developer, ttlSeconds: developmentTokenSeconds })
      : null;
  const onMasked = ({ viewer }: Operation) => viewer && viewers.forget(viewer);
  const yoga = createGraphql({
    schema: overrides.schema ?? schema,
    floors: { db, runs, feed, speech },
    verifyToken,
    meet: (viewer) => viewers.ensureProvisioned(viewer),
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
    socketLimit: createRateLimit('new sockets', env.rateLimits.sockets, redis),
  });
  const port = await listen(server, env);

  const opened = opening.move();
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await hosts.endCalls();
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
  logger.info({ url, model: modelDescription }, 'listening');
  return {
    url,
    port,
    db,
    runs,
    speech,
    logger,
    modelDescription,
    developmentToken,
    close,
    [Symbol.asyncDispose]: close,
  };
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
