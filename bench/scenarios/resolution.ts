import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveAgents } from '../../src/agents/resolve.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { startApp } from '../../src/boot/app.ts';
import { readEnv } from '../../src/config/env.ts';
import { countStatements } from '../../src/database/statements.ts';
import { putSecret } from '../../src/secrets/stored-secrets.ts';
import type { Harness, Report } from '../harness.ts';
import { median, percentile } from '../statistics.ts';
import { createDatabase } from '../switchboard.ts';

const viewer: Viewer = { userId: 'bench', tenantId: 'bench', roles: [], expiresAt: Number.POSITIVE_INFINITY };

/** What a turn waits for its agent's configuration, key included: out of the cache, and out of the database. */
export async function measureResolution(harness: Harness): Promise<Report> {
  const times = harness.quick ? 100 : 2_000;
  const rows: string[][] = [];
  for (const kind of harness.databases) {
    await using stack = new AsyncDisposableStack();
    const dataDir = await mkdtemp(join(tmpdir(), 'switchboard-bench-'));
    stack.defer(() => rm(dataDir, { recursive: true, force: true }));
    const database = kind === 'postgresql' ? { DATABASE_URL: await createDatabase(harness, stack) } : {};
    const app = stack.use(await startApp(readEnv({ DATA_DIR: dataDir, PORT: '0', LOG_LEVEL: 'silent', ...database })));
    const host = app.runs.agents;
    const id = randomUUID();
    await host.db.tenant.create({ data: { id: viewer.tenantId } });
    await host.db.agent.create({
      data: { id, tenantId: viewer.tenantId, name: 'bench', instructions: 'Be brief.'.repeat(100) },
    });
    const origin = new URL(host.defaults.llm.endpoint.apiUrl).origin;
    const secret = { name: 'llm', origin, value: 'sk-bench-0123456789' };
    await putSecret(host.db, host.keys, { tenantId: viewer.tenantId, agentId: id }, secret);
    const measure = async (before: () => void) => {
      const taken: number[] = [];
      let statements = 0;
      for (let count = 0; count < times; count++) {
        before();
        const startedAt = performance.now();
        statements = (await countStatements(() => resolveAgents(viewer, host, [id]))).statements;
        taken.push(performance.now() - startedAt);
      }
      return [median(taken).toFixed(3), percentile(taken, 0.99).toFixed(3), String(statements)];
    };
    rows.push([`${kind}, cached`, ...(await measure(() => {}))]);
    rows.push([`${kind}, not cached`, ...(await measure(() => host.config.drop(viewer.tenantId)))]);
  }
  return {
    title: 'resolution: an agent with its provider and key, as a turn is compiled from it',
    columns: ['', 'median ms', 'p99 ms', 'statements'],
    rows,
    notes: [`${times} times each, one after another.`],
  };
}
