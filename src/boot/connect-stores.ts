import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { StartError } from '../api/errors.ts';
import type { Env } from '../config/env.ts';
import { DatabaseAvailability } from '../database/availability.ts';
import { type ChangeListener, configurationChannel, listenForChanges } from '../database/changes.ts';
import { type Database, type OpenDatabase, openDatabase } from '../database/client.ts';
import { ConfigurationCache } from '../database/configuration-cache.ts';
import { type EmbeddedPostgres, openEmbeddedPostgres } from '../database/embedded/embedded.ts';
import { applyMigrations, pendingMigrations } from '../database/migrate.ts';
import { shareSessions } from '../database/sessions.ts';
import { ConversationFeed, feedChannel } from '../feed/conversation-feed.ts';
import { KnowledgeChanges, knowledgeChannel } from '../knowledge/changes.ts';
import { openRedis } from '../limits/redis.ts';
import { SharedCounts } from '../limits/shared-counts.ts';
import { prefixOfLog } from '../log/redis/entry.ts';
import { RedisLog } from '../log/redis/redis-log.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import { openKeyRing } from '../secrets/open-key-ring.ts';
import { outsideScope } from '../telemetry/scope.ts';
import { TicketFeed, ticketChannel } from '../tickets/feed.ts';

/** The stores: the database, the cache of its configuration, the key ring, and Redis if there is one. */
export interface Stores {
  readonly db: Database;
  readonly upkeep: Pick<OpenDatabase, 'db' | 'load'>;
  /** How the connections of `db` stand. */
  readonly pool: Pick<OpenDatabase, 'load' | 'query'>;
  readonly availability: Pick<DatabaseAvailability, 'assertAvailable' | 'destroyConnections'>;
  readonly databaseUrl: string;
  /** Whether the database is the embedded one, which no other instance can use. */
  readonly exclusive: boolean;
  /** How many connections to the database are open at most. */
  readonly poolSize: number;
  readonly config: ConfigurationCache;
  readonly feed: ConversationFeed;
  readonly changes: KnowledgeChanges;
  readonly ticketFeed: TicketFeed;
  readonly keys: KeyRing;
  readonly redis: Redis | null;
  /** What users and tenants have open on all instances; null: there is no Redis. */
  readonly counts: SharedCounts | null;
  /** The events of live runs in Redis; null: there is none. */
  readonly sharedLog: RedisLog | null;
}

/** Options of the databases. */
export interface StoreOptions {
  /** The embedded database of the data folder, if the caller is opening it already. It is closed with the app. */
  readonly embedded?: Promise<EmbeddedPostgres>;
  /** After how many milliseconds without an answer the database behind DATABASE_URL is silent, where it is not the usual time. */
  readonly databaseSilenceMs?: number;
}

/** Connections for renewing leases and for asking whether the database is there. */
const upkeepPoolSize = 2;
/** Their statements are short, and a lease waits for them. */
const upkeepTimeouts = { statementMs: 3_000, answerMs: 4_000 };
const alwaysAvailable: Stores['availability'] = { assertAvailable: () => {}, destroyConnections: () => {} };

/**
 * Opens the stores of an environment; they are closed with `opening`.
 * @throws {StartError} when the database is unreachable or lacks migrations
 */
export async function connectStores(
  env: Env,
  logger: Logger,
  opening: AsyncDisposableStack,
  options: StoreOptions,
): Promise<Stores> {
  const databaseUrl = env.databaseUrl ?? (await openEmbedded(env, logger, opening, options));
  // It belongs to everybody, and not to the request that happened to open it.
  const onConnectionError = (error: Error) =>
    outsideScope(() => logger.warn({ err: error }, 'a database connection failed'));
  const exclusive = env.databaseUrl === null;
  // The embedded database runs one statement at a time: more connections would only wait inside it.
  const poolSize = exclusive ? 1 : env.databasePoolSize;
  const isPooled = !exclusive && env.databaseDirectUrl !== null;
  const pool = { url: databaseUrl, exclusive, isPooled, onConnectionError };
  const database = opening.use(openDatabase({ ...pool, poolSize }));
  const { db } = database;
  // The embedded database has one connection, and ends with its process.
  const upkeep = exclusive
    ? database
    : opening.use(openDatabase({ ...pool, poolSize: upkeepPoolSize, timeouts: upkeepTimeouts }));
  const availability = exclusive
    ? alwaysAvailable
    : opening.use(new DatabaseAvailability(upkeep, [database], logger, options.databaseSilenceMs));
  await assertMigrated(databaseUrl);

  const config = opening.use(new ConfigurationCache());
  const feed = opening.use(new ConversationFeed({ db, logger, alone: exclusive }));
  const changes = opening.use(new KnowledgeChanges({ db, logger, alone: exclusive }));
  const ticketFeed = opening.use(new TicketFeed({ db, logger, alone: exclusive }));
  if (!exclusive) {
    if (!isPooled) {
      await assertNoPooler(db);
      if (await hasSessions(db)) {
        // Statements that are prepared by name would be missing in one session and be there already in another.
        if (await shareSessions(databaseUrl)) throw leadsToPooler();
        for (const opened of [database, upkeep]) opened.prepareStatements();
      }
    }
    // Through a pooler in transaction mode, LISTEN is accepted and no notice ever arrives.
    const listening = listenToInstances(
      env.databaseDirectUrl ?? databaseUrl,
      { config, feed, changes, ticketFeed },
      logger,
    );
    opening.use(
      await listening.catch((cause: unknown) => {
        const name = isPooled ? 'DATABASE_DIRECT_URL' : 'DATABASE_URL';
        throw new StartError(`The database of ${name} cannot be used.`, { cause });
      }),
    );
  }
  const keys = await openKeyRing(env);
  const onOutage = (error: Error) =>
    logger.warn({ err: error }, 'Redis unreachable: falling back to in-memory rate limits');
  const redis = env.redisUrl === null ? null : opening.use(openRedis(env.redisUrl, env.redisPrefix, onOutage));
  const counts = redis === null ? null : opening.use(new SharedCounts({ redis, logger }));
  const sharedLog =
    env.redisUrl === null
      ? null
      : opening.use(
          new RedisLog({
            url: env.redisUrl,
            prefix: prefixOfLog(env.redisPrefix),
            logger,
            maxEvents: env.maxRunEvents,
          }),
        );
  const common = { db, pool: database, upkeep, availability, databaseUrl, exclusive, poolSize };
  return { ...common, config, feed, changes, ticketFeed, keys, redis, counts, sharedLog };
}

async function openEmbedded(
  env: Env,
  logger: Logger,
  opening: AsyncDisposableStack,
  { embedded }: StoreOptions,
): Promise<string> {
  const postgres = opening.use(
    await (embedded ??
      openEmbeddedPostgres(env.dataDir, (error) => logger.fatal({ err: error }, 'the embedded database ended'))),
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
  throw new StartError(`Pending migrations. Apply them with npm run migrate: ${pending.join(', ')}`);
}

/** PgBouncer refuses settings of a session, unless it was told to ignore them. */
async function assertNoPooler(db: Database): Promise<void> {
  await db.$queryRaw`SELECT 1`.catch((cause: unknown) => {
    if (!/unsupported startup parameter/i.test(String(cause))) return;
    throw leadsToPooler(cause);
  });
}

function leadsToPooler(cause?: unknown): StartError {
  return new StartError(
    'DATABASE_URL leads to a pooler such as PgBouncer: set DATABASE_DIRECT_URL to the database itself as well.',
    { cause },
  );
}

/** Whether each connection has a session of its own: an embedded database that another process has opened has one for all. */
async function hasSessions(db: Database): Promise<boolean> {
  const [row] = await db.$queryRaw<{ version: string }[]>`SELECT version() AS version`.catch(() => []);
  return row !== undefined && !row.version.includes('PGlite');
}

/** Drops the cached configuration of a tenant, and wakes the readers of a user's feed, when the database says so. */
function listenToInstances(
  url: string,
  { config, feed, changes, ticketFeed }: Pick<Stores, 'config' | 'feed' | 'changes' | 'ticketFeed'>,
  logger: Logger,
): Promise<ChangeListener> {
  return listenForChanges(url, {
    notices: {
      [configurationChannel]: (tenantId) => config.drop(tenantId),
      [feedChannel]: (payload) => feed.hear(payload),
      [knowledgeChannel]: (payload) => changes.hear(payload),
      [ticketChannel]: (payload) => ticketFeed.hear(payload),
    },
    gap: () => {
      config.clear();
      feed.check();
      changes.check();
      ticketFeed.check();
    },
    error: (error) => logger.warn({ err: error }, 'the connection that listens for changes was lost'),
  });
}
