import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getConstructionPlans } from 'pg-boss';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type OpenDatabase, openDatabase } from '../../src/database/client.ts';
import { migrationsFolder } from '../../src/database/migrate.ts';
import { defineJob, type JobWork } from '../../src/jobs/define-job.ts';
import { JobQueue } from '../../src/jobs/job-queue.ts';
import { createTestDatabase, type TestDatabase } from '../support/database/database.ts';

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  // As the server opens it: one connection to the embedded database.
  opened = openDatabase({ url: database.url, poolSize: 1 });
});
afterAll(async () => {
  await opened.close();
  await database[Symbol.asyncDispose]();
});

const soon = { timeout: 20_000, interval: 20 };
const number = z.object({ n: z.int() });
const quickly = { retry: { limit: 1, delaySeconds: 1, maxDelaySeconds: 1 } };

async function openQueue(job: ReturnType<typeof defineJob<{ n: number }>>, work: JobWork<{ n: number }>) {
  const given: number[] = [];
  const queue = new JobQueue({ database: opened, logger: pino({ level: 'silent' }) });
  queue.register(job, work, async ({ n }) => void given.push(n));
  await queue.start();
  return { queue, givenUp: given, [Symbol.asyncDispose]: () => queue.close() };
}

describe('a background job', () => {
  test('It comes into being with the transaction that enqueues it, or not at all', async () => {
    const done: number[] = [];
    const job = defineJob('in-transaction', number);
    await using opening = await openQueue(job, async ({ n }) => void done.push(n));
    const rolledBack = opened.db.$transaction(async (tx) => {
      await opening.queue.enqueue(tx, job, { n: 1 });
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await opened.db.$transaction(async (tx) => void (await opening.queue.enqueue(tx, job, { n: 2 })));
    await vi.waitFor(() => expect(done).toEqual([2]), soon);
    await opening.queue.enqueue(null, job, { n: 3 });
    await vi.waitFor(() => expect(done).toEqual([2, 3]), soon);
  });

  test('One that fails is tried again as often as it says, and then given up', async () => {
    const attempts: [number, boolean][] = [];
    const job = defineJob('failing', number, quickly);
    await using opening = await openQueue(job, async (_payload, { retries, isLast }) => {
      attempts.push([retries, isLast]);
      throw new Error('no');
    });
    await opening.queue.enqueue(null, job, { n: 7 });
    await vi.waitFor(() => expect(opening.givenUp).toEqual([7]), soon);
    expect(attempts).toEqual([
      [0, false],
      [1, true],
    ]);
  });

  test('One that takes too long is aborted and tried again', async () => {
    const attempts: unknown[] = [];
    const job = defineJob('slow', number, { ...quickly, timeoutSeconds: 1 });
    await using opening = await openQueue(job, async (_payload, { signal, retries }) => {
      if (retries === 0) await new Promise((resolve) => signal.addEventListener('abort', resolve));
      attempts.push(retries);
    });
    await opening.queue.enqueue(null, job, { n: 1 });
    await vi.waitFor(() => expect(attempts).toEqual([0, 1]), soon);
  });

  test('Of a singleton job, one exists at a time for each key, and within a period one of each key', async () => {
    const done: number[] = [];
    const gate = Promise.withResolvers<void>();
    const job = defineJob('single', number, { singleton: true });
    await using opening = await openQueue(job, async ({ n }) => {
      await gate.promise;
      done.push(n);
    });
    const { queue } = opening;
    const enqueued = [
      await queue.enqueue(null, job, { n: 1 }, { key: 'a' }),
      await queue.enqueue(null, job, { n: 2 }, { key: 'a' }),
      await queue.enqueue(null, job, { n: 3 }, { key: 'b' }),
    ];
    expect(enqueued).toEqual([true, false, true]);
    gate.resolve();
    await vi.waitFor(() => expect(done.sort()).toEqual([1, 3]), soon);
    await vi.waitFor(async () => expect(await queue.enqueue(null, job, { n: 4 }, { key: 'a' })).toBe(true), soon);

    const periodic = { key: 'c', oncePerSeconds: 3600 };
    expect(await queue.enqueue(null, job, { n: 5 }, periodic)).toBe(true);
    await vi.waitFor(() => expect(done).toContain(5), soon);
    expect(await queue.enqueue(null, job, { n: 6 }, periodic)).toBe(false);
  });

  test('One that waits for its moment is not carried out before', async () => {
    const done: number[] = [];
    const job = defineJob('later', number);
    await using opening = await openQueue(job, async ({ n }) => void done.push(n));
    await opening.queue.enqueue(null, job, { n: 1 }, { runAt: new Date(Date.now() + 3600_000) });
    await opening.queue.enqueue(null, job, { n: 2 });
    await vi.waitFor(() => expect(done).toEqual([2]), soon);
    expect(done).toEqual([2]);
  });

  test('Several instances carry out each job once', async () => {
    const done: number[] = [];
    const job = defineJob('shared', number, { atOnce: 2 });
    await using first = await openQueue(job, async ({ n }) => void done.push(n));
    await using second = await openQueue(job, async ({ n }) => void done.push(n));
    const all = Array.from({ length: 20 }, (_, n) => n);
    for (const n of all) await (n % 2 ? first : second).queue.enqueue(null, job, { n });
    await vi.waitFor(() => expect(done).toHaveLength(20), soon);
    expect(done.sort((a, b) => a - b)).toEqual(all);
  });

  test('A group with many jobs keeps no other group waiting', async () => {
    const done: number[] = [];
    const slow = Promise.withResolvers<void>();
    let running = 0;
    const job = defineJob('of-groups', number, { atOnce: 2, atOncePerGroup: 1 });
    await using opening = await openQueue(job, async ({ n }) => {
      if (n < 10) {
        running += 1;
        await slow.promise;
      }
      done.push(n);
    });
    for (const n of [1, 2, 3]) await opening.queue.enqueue(null, job, { n }, { group: 'busy' });
    await vi.waitFor(() => expect(running).toBe(1), soon);
    await opening.queue.enqueue(null, job, { n: 10 }, { group: 'other' });
    await vi.waitFor(() => expect(done).toEqual([10]), soon);
    expect(running).toBe(1);
    slow.resolve();
    await vi.waitFor(() => expect(done.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 10]), soon);
  });

  test('A process that stops hands over what it is carrying out, without an attempt being lost', async () => {
    const job = defineJob('handed-over', number, { retry: { limit: 0, delaySeconds: 0, maxDelaySeconds: 1 } });
    const begun = Promise.withResolvers<void>();
    const stopped = await openQueue(job, async (_payload, { signal }) => {
      begun.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw signal.reason;
    });
    await stopped.queue.enqueue(null, job, { n: 1 });
    await begun.promise;
    await stopped.queue.close();
    const done: number[] = [];
    await using other = await openQueue(job, async ({ n }) => void done.push(n));
    await vi.waitFor(() => expect(done).toEqual([1]), soon);
    expect([...stopped.givenUp, ...other.givenUp]).toEqual([]);
  });
});

test('The migration creates the schema of the queue that is installed', async () => {
  const folder = join(migrationsFolder, '20261128203100_background_jobs');
  const written = await readFile(join(folder, 'migration.sql'), 'utf8');
  const flat = (sql: string) =>
    sql
      .replaceAll(/^--.*$/gm, '')
      .replaceAll(/\s+/g, ' ')
      .trim();
  const plan = getConstructionPlans('switchboard_jobs');
  const body = plan.slice(plan.indexOf('CREATE SCHEMA'), plan.lastIndexOf('COMMIT;'));
  expect(flat(written)).toBe(flat(body));
});
