/** What has to hold before requests should be sent here. */
export interface ReadinessChecks {
  /** Reaches the database, or throws. */
  readonly reachDatabase: () => Promise<unknown>;
  /** Names of the migrations that the database lacks. */
  readonly listPendingMigrations: () => Promise<readonly string[]>;
}

/** The answer of /ready, and whether it is a yes. */
export interface Readiness {
  readonly ready: boolean;
  readonly database: 'reachable' | 'unreachable';
  readonly pendingMigrations: readonly string[];
}

const patienceMs = 2_000;

/** Makes the check behind /ready. Migrations are looked at until none is pending: they are never taken back. */
export function createReadinessCheck(checks: ReadinessChecks): () => Promise<Readiness> {
  let migrated = false;
  return async () => {
    try {
      await withinPatience(checks.reachDatabase());
      const pendingMigrations = migrated ? [] : await withinPatience(checks.listPendingMigrations());
      migrated = pendingMigrations.length === 0;
      return { ready: migrated, database: 'reachable', pendingMigrations };
    } catch {
      return { ready: false, database: 'unreachable', pendingMigrations: [] };
    }
  };
}

async function withinPatience<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('The database does not answer.')), patienceMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
