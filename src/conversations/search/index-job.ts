import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { Db } from '../../database/client.ts';
import { withoutCounting } from '../../database/statements.ts';
import { defineJob } from '../../jobs/define-job.ts';
import type { JobQueue } from '../../jobs/job-queue.ts';
import { hasUnindexed, indexSome } from './index-messages.ts';

/** How often each instance looks whether there is something to index, in milliseconds. */
const everyMs = 20_000;
const batch = 100;
/** A pause after each batch: others use the database too. */
const pauseMs = 20;

const job = defineJob('index-messages', z.object({}), {
  retry: { limit: 2, delaySeconds: 5, maxDelaySeconds: 30 },
  timeoutSeconds: 600,
  singleton: true,
});

/** What the job works with. */
export interface IndexDependencies {
  readonly db: Db;
  readonly jobs: JobQueue;
  readonly logger: Logger;
}

/**
 * Indexes messages a little after they were written, on one instance at a time: turns pay nothing for it.
 * @returns stops looking for messages
 */
export function keepMessagesIndexed({ db, jobs, logger }: IndexDependencies): Disposable {
  jobs.register(job, async (_payload, { signal }) => {
    while (!signal.aborted && (await indexSome(db, batch)) > 0) await sleep(pauseMs);
  });
  const look = async () => {
    if (await hasUnindexed(db)) await jobs.enqueue(null, job, {}, { key: 'all' });
  };
  const timer = setInterval(() => {
    withoutCounting(null, look).catch((error: unknown) =>
      logger.warn({ err: error }, 'could not look for messages that are not indexed'),
    );
  }, everyMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
