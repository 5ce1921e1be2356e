import { randomUUID } from 'node:crypto';
import type { GraphQLSchema } from 'graphql';
import { type Client, type ClientOptions, createClient } from 'graphql-ws';
import { SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, inject } from 'vitest';
import { WebSocket } from 'ws';
import type { Viewer } from '../../src/auth/viewer.ts';
import { type App, startApp } from '../../src/boot/app.ts';
import { readEnv } from '../../src/config/env.ts';
import type { Database } from '../../src/database/client.ts';
import { AnswerBytes } from '../../src/limits/answer-bytes.ts';
import { createTestDatabase } from './database/database.ts';
import { createScriptedModel, type ScriptedModel, type TestStep } from './scripted-model/script.ts';

/** What a request was answered with. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the documents of these tests are not generated; their answers are asserted.
  readonly data: any;
  readonly errors: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions: Readonly<Record<string, unknown>> & { readonly code: string };
  }[];
}

/** A line of the log. */
type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

/** Who a token speaks for. */
export interface TokenClaims {
  readonly sub?: string;
  readonly tenant?: string;
  readonly roles?: readonly string[];
  /** Seconds; negative for a token that has expired. */
  readonly ttl?: number;
}

/** A started app with a database of its own. */
export interface TestApp extends AsyncDisposable {
  readonly app: App;
  readonly url: string;
  /** `ws://…/graphql` */
  readonly wsUrl: string;
  /** The model that answers, if it was given steps. */
  readonly model: ScriptedModel;
  /** Every line that the app has logged. */
  readonly logs: LogLine[];
  token(claims?: TokenClaims): Promise<string>;
  /** Sends an operation over HTTP. Without `token`: alice of acme; null: nobody. */
  query(
    document: string,
    variables?: Record<string, unknown>,
    options?: { token?: string | null; headers?: Record<string, string>; operationName?: string },
  ): Promise<HttpAnswer>;
  /** A graphql-ws client that does not come back by itself, unless told to; closed with the app. */
  ws(token: string | null, options?: Partial<ClientOptions>): Client;
}

/** Issuer and audience of the test's tokens. */
export const testIssuer = 'https://issuer.test';
export const testAudience = 'switchboard';
/** The key ring of the test's secrets. */
export const testKeys = `test:${Buffer.alloc(32, 7).toString('base64')}`;

export interface TestAppOptions {
  readonly env?: Record<string, string>;
  readonly steps?: readonly TestStep[];
  /** Instead of a database of its own, e.g. to start a second instance. */
  readonly databaseUrl?: string;
  readonly schema?: GraphQLSchema;
}

// Which of them a test wants:
// - shareApp: one app of this process for all tests of a file. The usual one; with openChat, two lines begin a file.
// - startTestApp: an app of this process for one test, or several on one database.
// - openGraph: the same, for the tests of lists and rows: viewers, and how many SQL statements an operation took.
// - startServer (server.ts): a process of its own, to be killed, or to be started with what an operator would type.

/**
 * Starts the whole app on a free port, with a fresh database, an HS256 secret and a scripted model. Disposing of it
 * closes everything and fails if the model was asked what was not in its script, or not asked what was.
 */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  await using starting = new AsyncDisposableStack();
  const model = starting.use(await createScriptedModel(options.steps));
  const databaseUrl = options.databaseUrl ?? starting.use(await createTestDatabase()).url;
  const secret = randomUUID() + randomUUID();
  const env = readEnv({
    PORT: '0',
    DATABASE_URL: databaseUrl,
    JWT_SECRET: secret,
    JWT_ISSUER: testIssuer,
    JWT_AUDIENCE: testAudience,
    OPENAI_BASE_URL: model.url,
    MODEL: 'test-model',
    MODELS_ALLOWED: '*',
    ENCRYPTION_KEYS: testKeys,
    SEED_FILE: inject('plainSeedFile'),
    LOG_LEVEL: 'info',
    // Off, unless a test is about them.
    RATE_LIMIT_TURNS: '0',
    RATE_LIMIT_MUTATIONS: '0',
    RATE_LIMIT_ANSWER_BYTES: '0',
    MAX_TURNS_PER_USER: '0',
    MAX_TURNS_PER_TENANT: '0',
    // Names of files in tests are not looked up.
    ATTACHMENT_FETCH: 'false',
    ...options.env,
  });
  const logs: LogLine[] = [];
  const app = starting.use(
    await startApp(env, {
      logDestination: { write: (line) => void logs.push(JSON.parse(line)) },
      ...(options.schema ? { schema: options.schema } : {}),
      // All connections to an embedded database share its one session, and wait for each other's transactions.
      ...(new URL(databaseUrl).searchParams.has('host') ? { databaseSilenceMs: 60_000 } : {}),
    }),
  );
  const wsUrl = `${app.url.replace('http', 'ws')}/graphql`;
  const clients = new Set<Client>();
  starting.defer(async () => {
    for (const client of clients) await client.dispose();
  });

  const token = ({ sub = 'alice', tenant = 'acme', roles = [], ttl = 3600 }: TokenClaims = {}) =>
    new SignJWT({ tenant, roles: [...roles] })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(sub)
      .setIssuer(testIssuer)
      .setAudience(testAudience)
      .setExpirationTime(Math.floor(Date.now() / 1000) + ttl)
      .sign(new TextEncoder().encode(secret));

  const opened = starting.move();
  return {
    app,
    url: app.url,
    wsUrl,
    model,
    logs,
    token,
    async query(query, variables, { token: given, headers = {}, operationName } = {}) {
      const bearer = given === undefined ? await token() : given;
      const response = await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
          ...headers,
        },
        body: JSON.stringify({ query, variables, operationName }),
      });
      return readAnswer(response);
    },
    ws(bearer, given = {}) {
      const client = createClient({
        url: wsUrl,
        webSocketImpl: WebSocket,
        retryAttempts: 0,
        ...(bearer === null ? {} : { connectionParams: { authorization: `Bearer ${bearer}` } }),
        ...given,
      });
      clients.add(client);
      return client;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/**
 * An app that the tests of a file share: started before the first of them, closed after the last, and its script
 * checked after each.
 * @param options of startTestApp, or what makes them once the set-up of the file has begun
 */
export function shareApp(options: TestAppOptions | (() => TestAppOptions | Promise<TestAppOptions>) = {}): TestApp {
  let started: TestApp | undefined;
  const current = () => {
    if (!started) throw new Error('The shared app has not started: use it in tests and hooks only.');
    return started;
  };
  beforeAll(async () => {
    started = await startTestApp(typeof options === 'function' ? await options() : options);
  });
  afterEach(() => current().model.assertDone());
  afterAll(() => started?.[Symbol.asyncDispose]());
  return {
    get app() {
      return current().app;
    },
    get url() {
      return current().url;
    },
    get wsUrl() {
      return current().wsUrl;
    },
    get model() {
      return current().model;
    },
    get logs() {
      return current().logs;
    },
    token: (claims) => current().token(claims),
    query: (document, variables, more) => current().query(document, variables, more),
    ws: (token, more) => current().ws(token, more),
    [Symbol.asyncDispose]: () => current()[Symbol.asyncDispose](),
  };
}

/** The bounds of answers as they are by default, for a context that a test creates itself. */
export function openAnswers(): AnswerBytes {
  return new AnswerBytes(readEnv({}).connections.answers);
}

/** Reads a GraphQL answer. */
export async function readAnswer(response: Response): Promise<HttpAnswer> {
  const { data, errors = [] } = JSON.parse(await response.text());
  return { status: response.status, headers: response.headers, data, errors };
}

/** Somebody who asks. */
export interface TestViewer extends Viewer {
  readonly token: string;
}

/** What a document came back with. */
interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: documents in tests are not generated; what they answer is asserted.
  readonly data: any;
  /** `path` is extensions.path, the argument; `at` is where in the answer the error stands. */
  readonly errors: { code: string; message: string; path?: unknown; at?: unknown; contactId?: unknown }[];
  /** How many SQL statements the operation took, as its log line says. */
  readonly statements: number;
}

/** A started app as the tests of the nouns use it: viewers, documents and rows. */
export interface Graph extends AsyncDisposable {
  readonly app: TestApp;
  readonly databaseUrl: string;
  readonly db: Database;
  viewer(userId: string, tenantId?: string, roles?: readonly string[]): Promise<TestViewer>;
  /** Sends a document over HTTP; null: without a token. */
  query(viewer: TestViewer | null, document: string, variables?: Record<string, unknown>): Promise<Answer>;
}

/** Starts an app, with a database of its own. */
export async function openGraph(env: Record<string, string> = {}): Promise<Graph> {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const app = opening.use(await startTestApp({ databaseUrl: database.url, env }));
  const query: Graph['query'] = async (viewer, document, variables) => {
    const requestId = crypto.randomUUID();
    const { data, errors } = await app.query(document, variables, {
      token: viewer?.token ?? null,
      headers: { 'x-request-id': requestId },
    });
    const line = app.logs.find((entry) => entry.requestId === requestId && entry.statements !== undefined);
    return {
      data: data ?? null,
      errors: errors.map(({ message, path, extensions }) => ({ ...extensions, message, at: path })),
      statements: Number(line?.statements),
    };
  };
  const opened = opening.move();
  return {
    app,
    databaseUrl: database.url,
    db: app.app.db,
    query,
    async viewer(userId, tenantId = 'acme', roles = []) {
      const token = await app.token({ sub: userId, tenant: tenantId, roles });
      const viewer = { userId, tenantId, roles, expiresAt: Number.POSITIVE_INFINITY, token };
      // Users and their tenants appear when they are seen first.
      await query(viewer, '{ viewer { userId } }');
      return viewer;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
