import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Viewer } from '../../src/auth/viewer.ts';
import { openDatabase } from '../../src/database/client.ts';
import { KnowledgeChanges } from '../../src/knowledge/changes.ts';
import { followBase } from '../../src/knowledge/follow.ts';
import { startTestApp } from '../support/app.ts';
import { createTestDatabase } from '../support/database/database.ts';
import { seedBase } from './seed-base.ts';

const viewerOf = (userId: string, roles: readonly string[] = []): Viewer => ({
  userId,
  tenantId: 'acme',
  roles,
  expiresAt: Number.POSITIVE_INFINITY,
});

/** Readers of one base of a project, on one process whose statements are counted. */
async function openFollowers(count: number) {
  await using opening = new AsyncDisposableStack();
  const { url } = opening.use(await createTestDatabase());
  const app = opening.use(await startTestApp({ databaseUrl: url }));
  const { db } = app.app;
  const tenantId = 'acme';
  await db.$executeRaw`INSERT INTO tenants (id) VALUES (${tenantId}) ON CONFLICT DO NOTHING`;
  const project = await db.project.create({ data: { tenantId, key: 'shop', name: 'Shop' } });
  const users = Array.from({ length: count }, (_, n) => `user-${n}`);
  for (const userId of users) {
    await db.$executeRaw`INSERT INTO users (tenant_id, id) VALUES (${tenantId}, ${userId}) ON CONFLICT DO NOTHING`;
    await db.projectMember.create({ data: { tenantId, projectId: project.id, userId, role: 'VIEWER' } });
  }
  const { baseId, documentIds } = await seedBase(db, [{ title: 'Cups', texts: ['Cups are blue.'] }], {
    tenantId,
    projectId: project.id,
  });
  const statements: string[] = [];
  const counted = openDatabase({ url, poolSize: 5, onQuery: ({ sql }) => statements.push(sql) });
  opening.defer(() => counted.close());
  const changes = opening.use(new KnowledgeChanges({ db: counted.db, logger: app.app.knowledge.logger, alone: true }));
  const viewers = [...users.map((userId) => viewerOf(userId)), viewerOf('root', ['admin'])];
  const readers = await Promise.all(
    viewers.map((viewer) => followBase(viewer, { db: counted.db, changes }, `kb_${baseId}`)),
  );
  /** Changes the document, as another process does. */
  const change = () =>
    db.$executeRaw`UPDATE knowledge_documents SET title = ${randomUUID()} WHERE id = ${documentIds[0]}::uuid`;
  const opened = opening.move();
  const dispose = () => opened.disposeAsync();
  return { db, baseId, project, changes, readers, statements, change, [Symbol.asyncDispose]: dispose };
}

test('However many follow a base on a process, they look together, and each gets every change', async () => {
  await using opened = await openFollowers(30);
  const { changes, readers, statements, change } = opened;
  const first = readers.map((reader) => reader.next());
  await change();
  changes.check();
  const delivered = await Promise.all(first);
  for (const { value } of delivered) expect(value?.changeSeq).toBe(delivered[0]?.value?.changeSeq);
  // They wait for the next one, and nothing is under way.
  const second = readers.map((reader) => reader.next());
  statements.length = 0;
  await change();
  changes.check();
  await Promise.all(second);
  // A few looks, of which some had begun before, and the documents: not 31 times that.
  expect(statements.length).toBeGreaterThan(0);
  expect(statements.length).toBeLessThanOrEqual(10);
});

test('Who leaves the project gets nothing more, and the others do; nobody does when the base is deleted', async () => {
  await using opened = await openFollowers(3);
  const { db, baseId, project, changes, readers, change } = opened;
  const [gone, ...others] = readers;
  await db.projectMember.deleteMany({ where: { projectId: project.id, userId: 'user-0' } });
  await change();
  changes.check();
  expect(await gone?.next()).toEqual({ done: true, value: undefined });
  for (const reader of others) expect((await reader.next()).done).toBe(false);
  expect(changes.size).toBe(3);
  await db.knowledgeBase.update({ where: { id: baseId }, data: { deletedAt: new Date() } });
  changes.check();
  for (const reader of others) expect((await reader.next()).done).toBe(true);
  expect(changes.size).toBe(0);
});
