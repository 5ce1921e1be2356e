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
}

/** The body of /ready. */
export interface Readiness {
  readonly ready: boolean;
  /** Whether the server is stopping. */
  readonly draining: boolean;
  readonly database: 'reachable' | 'unreachable';
  readonly pendingMigrations: readonly string[];
}

const checkTimeoutMs = 2_000;

/** Creates the check behind /ready. Migrations are checked until none is pending: they are never reverted. */
export function createReadinessCheck(checks: ReadinessChecks): () => Promise<Readiness> {
  let migrated = false;
  return async () => {
    const draining = checks.isDraining();
    try {
      await withTimeout(checks.queryDatabase());
      const pendingMigrations = migrated ? [] : await withTimeout(checks.listPendingMigrations());
      migrated = pendingMigrations.length === 0;
      const ready = migrated && !draining && checks.isRenewing();
      return { ready, draining, database: 'reachable', pendingMigrations };
    } catch {
      return { ready: false, draining, database: 'unreachable', pendingMigrations: [] };
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
