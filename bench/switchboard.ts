import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { z } from 'zod';
import { mintDevelopmentToken } from '../src/auth/development.ts';
import { openEmbeddedPostgres } from '../src/database/embedded/embedded.ts';
import { applyMigrations } from '../src/database/migrate.ts';
import type { Harness } from './harness.ts';
import { PostgresCpu } from './proc.ts';
import { Child } from './rpc.ts';
import type { System } from './systems.ts';
import type { Slot } from './turn-client.ts';

/** Where Switchboard keeps its rows: in the embedded database, or on the server of DATABASE_URL. */
export type DatabaseKind = 'embedded' | 'postgresql';

export interface Switchboard extends System {
  readonly address: URL;
  /** Null: the embedded one, which is a process of its own. */
  readonly databaseUrl: string | null;
  /** An access token of a user, for a day. A user of another tenant than that of most is `name@tenant`. */
  tokenOf(user: string): Promise<string>;
  /** Asks over HTTP, as a user. @throws on any error in the answer */
  ask<Schema extends z.ZodType>(
    user: string,
    document: string,
    variables: object,
    data: Schema,
  ): Promise<z.output<Schema>>;
}

/** Users that turns are spread over. */
const users = 50;
/** Conversations that are created at the same time. */
const batch = 10;
const created = z.object({ createConversation: z.object({ id: z.string() }) });
const answer = z.object({ data: z.unknown().optional(), errors: z.array(z.unknown()).optional() });

/**
 * Starts Switchboard by its own main.ts, with a data folder or a database of its own that goes when it ends.
 * @param options.probe how its process is started, so that it can be asked what it costs
 * @param options.fill fills the database before it is served
 * @param options.main another main.ts than that of this repository, e.g. of an earlier version
 */
export async function startSwitchboard(
  kind: DatabaseKind,
  harness: Pick<Harness, 'endpointUrl' | 'databaseUrl' | 'settings' | 'profileArguments'>,
  options: {
    readonly probe: readonly string[];
    readonly fill?: (databaseUrl: string) => Promise<void>;
    readonly main?: URL;
  },
): Promise<Switchboard> {
  await using opening = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'switchboard-bench-'));
  opening.defer(() => rm(dataDir, { recursive: true, force: true }));
  const databaseUrl = kind === 'postgresql' ? await createDatabase(harness, opening) : null;
  if (options.fill) await fillDatabase(databaseUrl, dataDir, options.fill);

  const child = opening.use(
    new Child(`switchboard (${kind})`, options.main ?? new URL('../src/main.ts', import.meta.url), {
      cwd: dataDir,
      env: {
        DATA_DIR: dataDir,
        PORT: '0',
        // As in production.
        LOG_LEVEL: 'info',
        // One user sends all the load.
        RATE_LIMIT_TURNS: '0',
        RATE_LIMIT_MUTATIONS: '0',
        RATE_LIMIT_ANSWER_BYTES: '0',
        MAX_TURNS_PER_USER: '0',
        MAX_TURNS_PER_TENANT: '0',
        OPENAI_BASE_URL: harness.endpointUrl,
        MODEL: 'bench',
        ...harness.settings,
        ...(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl }),
      },
      execArgv: [...options.probe, ...harness.profileArguments],
    }),
  );
  const address = new URL(await child.waitForOutput(/"url":"([^"]+)".*"listening"/));
  const tokens = new Map<string, string>();
  const tokenOf = async (user: string) => {
    const [sub = user, tenant = 'bench'] = user.split('@');
    const token =
      tokens.get(user) ??
      (await mintDevelopmentToken(dataDir, {
        sub,
        tenant,
        roles: sub === 'admin' ? ['admin'] : [],
        ttlSeconds: 86_400,
      }));
    tokens.set(user, token);
    return token;
  };

  const ask: Switchboard['ask'] = async (user, document, variables, data) => {
    const response = await fetch(new URL('/graphql', address), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await tokenOf(user)}` },
      body: JSON.stringify({ query: document, variables }),
    });
    const given = answer.parse(await response.json());
    if (given.errors) throw new Error(`${child.name}: ${JSON.stringify(given.errors)}`);
    return data.parse(given.data);
  };

  const database = databaseUrl === null ? null : new PostgresCpu(new URL(databaseUrl).pathname.slice(1));
  const opened = opening.move();
  return {
    name: child.name,
    readDatabaseCpu: () => database?.read() ?? 0,
    child,
    address,
    databaseUrl,
    tokenOf,
    ask,
    async prepareSlots(turns) {
      const url = `ws://${address.host}/graphql`;
      const prepareSlot = async (place: number): Promise<Slot> => {
        const user = `user-${place % users}`;
        const document = 'mutation { createConversation { id } }';
        const { createConversation } = await ask(user, document, {}, created);
        return { protocol: 'graphql', url, token: await tokenOf(user), conversationId: createConversation.id };
      };
      const slots: Slot[] = [];
      const places = Array.from({ length: turns }, (_, place) => place);
      for (let from = 0; from < turns; from += batch) {
        slots.push(...(await Promise.all(places.slice(from, from + batch).map(prepareSlot))));
      }
      return slots;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A new database on the server of DATABASE_URL, migrated, dropped in the end. */
export async function createDatabase(
  { databaseUrl }: Pick<Harness, 'databaseUrl'>,
  opening: AsyncDisposableStack,
): Promise<string> {
  if (databaseUrl === null) throw new Error('DATABASE_URL is not set.');
  const name = `switchboard_bench_${crypto.randomUUID().replaceAll('-', '')}`;
  const administer = async (sql: string) => {
    const client = new Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  await administer(`CREATE DATABASE ${name}`);
  opening.defer(() => administer(`DROP DATABASE ${name} WITH (FORCE)`));
  const url = new URL(databaseUrl);
  url.pathname = name;
  await applyMigrations(url.href);
  return url.href;
}

async function fillDatabase(url: string | null, dataDir: string, fill: (url: string) => Promise<void>): Promise<void> {
  if (url !== null) return fill(url);
  // To index 100,000 vectors is one statement, which blocks it for minutes.
  await using embedded = await openEmbeddedPostgres(dataDir, undefined, { maxSilenceMs: 1_800_000 });
  await applyMigrations(embedded.url);
  // Awaited here, or the database would be closed under it.
  await fill(embedded.url);
}
