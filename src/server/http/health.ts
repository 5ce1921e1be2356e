/** What must hold before this instance gets requests. */
export interface ReadinessChecks {
  /** Runs a statement on the database. */
  readonly queryDatabase: () => Promise<unknown>;
  /** Names of the migrations that the database lacks. */
  readonly listPendingMigrations: () => Promise<readonly string[]>;
}

/** The body of /ready. */
export interface Readiness {
  readonly ready: boolean;
  readonly database: 'reachable' | 'unreachable';
  readonly pendingMigrations: readonly string[];
}

const checkTimeoutMs = 2_000;

/** Creates the check behind /ready. Migrations are checked until none is pending: they are never reverted. */
export function createReadinessCheck(checks: ReadinessChecks): () => Promise<Readiness> {
  let migrated = false;
  return async () => {
    try {
      await withTimeout(checks.queryDatabase());
      const pendingMigrations = migrated ? [] : await withTimeout(checks.listPendingMigrations());
      migrated = pendingMigrations.length === 0;
      return { ready: migrated, database: 'reachable', pendingMigrations };
    } catch {
      return { ready: false, database: 'unreachable', pendingMigrations: [] };
    }
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
