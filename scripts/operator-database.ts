import { type ParseArgsConfig, parseArgs } from 'node:util';
import { type Env, EnvironmentError, loadEnv } from '../src/config/env.ts';
import { type Database, openDatabase } from '../src/database/client.ts';
import { openEmbeddedPostgres } from '../src/database/embedded/embedded.ts';
import { findRunningPostgres } from '../src/database/embedded/folder.ts';
import { FolderInUseError } from '../src/database/embedded/folder-lock.ts';
import { applyMigrations, MigrationError, pendingMigrations } from '../src/database/migrate.ts';
import type { KeyRing } from '../src/secrets/key-ring.ts';
import { openKeyRing } from '../src/secrets/open-key-ring.ts';

/** What an operator's script works on. */
export interface OperatorDatabase extends AsyncDisposable {
  readonly env: Env;
  readonly db: Database;
  readonly keys: KeyRing;
}

/** Something that the operator can put right. */
class OperatorError extends Error {
  override readonly name = 'OperatorError';
}

/**
 * Opens the database of DATABASE_URL, or the embedded one, and the key ring, as the server of this environment would.
 * Where a server has the embedded one open, it is worked on through that server.
 * @throws {EnvironmentError | FolderInUseError | MigrationError | OperatorError} in words for the operator
 */
export async function openOperatorDatabase(): Promise<OperatorDatabase> {
  const env = loadEnv();
  await using opening = new AsyncDisposableStack();
  const { url, exclusive } = env.databaseUrl === null ? await openEmbedded(env, opening) : shared(env.databaseUrl);
  const pending = await pendingMigrations(url).catch((cause: unknown) => {
    throw new OperatorError('The database of DATABASE_URL cannot be used.', { cause });
  });
  if (pending.length > 0) throw new OperatorError('The database is behind: run npm run migrate first.');
  const poolSize = env.databaseUrl === null ? 1 : 4;
  const { db } = opening.use(openDatabase({ url, poolSize, exclusive, isPooled: env.databaseDirectUrl !== null }));
  const keys = await openKeyRing(env);
  const opened = opening.move();
  return { env, db, keys, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

interface Address {
  readonly url: string;
  /** Whether nobody else is on it. */
  readonly exclusive: boolean;
}

function shared(url: string): Address {
  return { url, exclusive: false };
}

async function openEmbedded({ dataDir }: Env, opening: AsyncDisposableStack): Promise<Address> {
  try {
    const { url } = opening.use(await openEmbeddedPostgres(dataDir));
    await applyMigrations(url);
    return { url, exclusive: true };
  } catch (error) {
    const running = error instanceof FolderInUseError ? await findRunningPostgres(dataDir) : null;
    if (running === null) throw error;
    return shared(running);
  }
}

/**
 * Reads the arguments of the command line.
 * @param usage what is printed where they are wrong
 * @throws {OperatorError} that says which is wrong
 */
export function readArguments<Options extends NonNullable<ParseArgsConfig['options']>>(
  options: Options,
  usage: string,
) {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new OperatorError(error instanceof Error ? `${error.message}\n${usage}` : usage);
  }
}

/** Prints what the operator can put right, and ends with 1; anything else is a fault and keeps its stack. */
export function reportFailure(error: unknown): void {
  const foreseen = [EnvironmentError, FolderInUseError, MigrationError, OperatorError].some(
    (kind) => error instanceof kind,
  );
  if (!foreseen || !(error instanceof Error)) throw error;
  console.error(error.message);
  if (error.cause instanceof Error) console.error(`  ${error.cause.message}`);
  process.exitCode = 1;
}
