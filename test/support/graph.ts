import type { Viewer } from '../../src/auth/viewer.ts';
import type { Database } from '../../src/database/client.ts';
import { startTestApp, type TestApp } from './app.ts';
import { createTestDatabase } from './database.ts';

/** Somebody who asks. */
export interface TestViewer extends Viewer {
  readonly token: string;
}

/** What a document came back with. */
export interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: documents in tests are not generated; what they answer is asserted.
  readonly data: any;
  /** `path` is extensions.path, the argument; `at` is where in the answer the error stands. */
  readonly errors: { code: string; message: string; path?: unknown; at?: unknown }[];
  /** How many SQL statements the operation took, as its log line says. */
  readonly statements: number;
}

/** A started app as the tests of the nouns use it: viewers, documents and rows. */
export interface Graph extends AsyncDisposable {
  readonly app: TestApp;
  readonly databaseUrl: string;
  readonly db: Database;
  viewer(userId: string, tenantId?: string): Promise<TestViewer>;
  /** Sends a document over HTTP; null: without a token. */
  query(viewer: TestViewer | null, document: string, variables?: Record<string, unknown>): Promise<Answer>;
}

/** Starts an app, with a database of its own. */
export async function openGraph(): Promise<Graph> {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createTestDatabase());
  const app = opening.use(await startTestApp({ databaseUrl: database.url }));
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
    async viewer(userId, tenantId = 'acme') {
      const token = await app.token({ sub: userId, tenant: tenantId });
      const viewer = { userId, tenantId, roles: [], expiresAt: Number.POSITIVE_INFINITY, token };
      // Users and their tenants appear when they are seen first.
      await query(viewer, '{ viewer { userId } }');
      return viewer;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
