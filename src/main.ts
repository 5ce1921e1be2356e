import { StartError } from './api/errors.ts';
import type { App } from './boot/app.ts';
import { EnvironmentError, loadEnv } from './config/env.ts';
import { openEmbeddedPostgres } from './database/embedded/embedded.ts';
import { FolderInUseError } from './database/embedded/folder-lock.ts';
import { MigrationError } from './database/migrate.ts';

/** How long an orderly close may take, in milliseconds. */
const maxCloseMs = 28_000;

/** Ends the process after an orderly close; immediately on a second signal, or before orchestrators kill it (after 30 seconds). */
function closeOnSignal(app: App): void {
  let asked = false;
  const stop = (signal: NodeJS.Signals) => {
    if (asked) process.exit(1);
    asked = true;
    app.logger.info({ signal }, 'stopping');
    setTimeout(() => process.exit(1), maxCloseMs).unref();
    app.close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

function welcome(app: App): void {
  const lines = [
    '',
    `  Switchboard   ${app.url}/graphql`,
    `  Chat          ${app.url}/`,
    `  GraphiQL      open ${app.url}/graphql in a browser and press the run button`,
    `  Model         ${app.modelDescription}`,
    ...(app.logger.isLevelEnabled('info')
      ? []
      : [`  Log           ${app.logger.level}; LOG_LEVEL=info npm start also logs each operation`]),
    ...(app.developmentToken === null
      ? []
      : [
          `  Token         for development, a week: ${app.developmentToken}`,
          `                more: npm run -s token -- --sub alice --role admin`,
        ]),
    '',
    '',
  ];
  process.stdout.write(lines.join('\n'));
}

function fail(error: unknown): never {
  process.stderr.write(`${describeFailure(error)}\n`);
  process.exit(1);
}

/** Expected failures as their message; anything else with its stack. */
function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const expected = [StartError, EnvironmentError, FolderInUseError, MigrationError].some(
    (kind) => error instanceof kind,
  );
  if (!expected) return error.stack ?? error.message;
  const cause = error.cause instanceof Error ? `\n  ${error.cause.message}` : '';
  return `${error.message}${cause}`;
}

// What this process and its database write is for this user only, also in a data folder that others can read.
process.umask(0o077);
try {
  const env = loadEnv();
  let app: App | null = null;
  const failWithDatabase = (error: Error): never => {
    app?.logger.fatal({ err: error }, 'the embedded database ended');
    return fail(error);
  };
  // The database is a separate process: it opens while this one loads the rest, which takes as long.
  const embedded = env.databaseUrl === null ? openEmbeddedPostgres(env.dataDir, failWithDatabase) : undefined;
  // Its failure is reported when it is awaited.
  embedded?.catch(() => {});
  const { startApp } = await import('./boot/app.ts');
  app = await startApp(env, embedded ? { embedded } : {});
  closeOnSignal(app);
  if (!env.production) welcome(app);
} catch (error) {
  fail(error);
}
