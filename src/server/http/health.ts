import type { RedisState } from '../../log/redis/redis-log.ts';

/** What must hold before this instance gets requests. */
export interface ReadinessChecks {
  /** Runs a statement on the database. */
  readonly queryDatabase: () => Promise<unknown>;
  /** Names of the migrations that the database lacks. */
  readonly listPendingMigrations: () => Promise<readonly string[]>;
  /** Whether the server is stopping: it takes no more turns. */
  readonly isDraining: () => boolean;
  /** Whether the leases of its turns are renewed in time. */
  readonly isRenewing: () => boolean;
  /** How Redis stands; null: there is none. Without it, everything goes on: the instance stays ready. */
  readonly checkRedis: (() => Promise<RedisState>) | null;
}

/** The body of /ready. */
export interface Readiness {
  readonly ready: boolean;
  /** Whether the server is stopping. */
  readonly draining: boolean;
  readonly database: 'reachable' | 'unreachable';
  /** Absent: there is none. */
  readonly redis?: RedisState;
  readonly pendingMigrations: readonly string[];
}

/** The check behind /ready. */
export interface ReadinessCheck {
  check(): Promise<Readiness>;
  /** Whether a load balancer asks: it will notice that this instance is not ready any more. */
  readonly isWatched: boolean;
}

const checkTimeoutMs = 2_000;
/** Who has asked within this time will ask again, in milliseconds. Orchestrators ask every ten seconds, or more often. */
const watchedMs = 30_000;

/** Creates the check behind /ready. Migrations are checked until none is pending: they are never reverted. */
export function createReadinessCheck(checks: ReadinessChecks): ReadinessCheck {
  let migrated = false;
  let askedAt = Number.NEGATIVE_INFINITY;
  const check = async (): Promise<Readiness> => {
    askedAt = performance.now();
    const draining = checks.isDraining();
    const redis = checks.checkRedis && { redis: await checks.checkRedis() };
    try {
      await withTimeout(checks.queryDatabase());
      const pendingMigrations = migrated ? [] : await withTimeout(checks.listPendingMigrations());
      migrated = pendingMigrations.length === 0;
      const ready = migrated && !draining && checks.isRenewing();
      return { ready, draining, database: 'reachable', ...redis, pendingMigrations };
    } catch {
      return { ready: false, draining, database: 'unreachable', ...redis, pendingMigrations: [] };
    }
  };
  return {
    check,
    get isWatched() {
      return performance.now() - askedAt < watchedMs;
    },
  };
}

async function withTimeout<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('The database does not respond.')), checkTimeoutMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
