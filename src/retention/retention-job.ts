import type { Logger } from 'pino';
import { z } from 'zod';
import type { RetentionEnv } from '../config/retention.ts';
import type { Db } from '../database/client.ts';
import { defineJob } from '../jobs/define-job.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import { purge } from './purge.ts';

/** How often what is kept no longer is deleted, in seconds. */
const everySeconds = 3_600;
/** How often each instance makes sure that the job exists, in milliseconds. */
const askEveryMs = 600_000;
const batch = 200;
const pauseMs = 100;

const job = defineJob('retention', z.object({}), {
  // It goes on where it was at the next hour, anyway.
  retry: { limit: 2, delaySeconds: 30, maxDelaySeconds: 60 },
  timeoutSeconds: 3_000,
  singleton: true,
});

/** What the job works with. */
export interface RetentionDependencies {
  readonly db: Db;
  readonly jobs: JobQueue;
  readonly retention: RetentionEnv;
  readonly logger: Logger;
}

/**
 * Deletes every hour what is kept no longer, on one instance at a time. Nothing is done if everything is kept for ever.
 * @returns stops asking for the job
 */
export function keepRetention({ db, jobs, retention, logger }: RetentionDependencies): Disposable {
  jobs.register(job, async (_payload, { signal }) => {
    const purged = await purge(db, { retention, now: new Date(), signal, pauseMs, batch });
    if (Object.values(purged).some((count) => count > 0)) logger.info({ purged }, 'deleted what is kept no longer');
  });
  if (Object.values(retention).every((days) => days === null)) return { [Symbol.dispose]: () => {} };
  const ask = () =>
    void jobs
      .enqueue(null, job, {}, { key: 'all', oncePerSeconds: everySeconds })
      .catch((error: unknown) =>
        logger.warn({ err: error }, 'could not enqueue the job that deletes what is kept no longer'),
      );
  const first = setTimeout(ask, 1_000);
  const timer = setInterval(ask, askEveryMs);
  first.unref();
  timer.unref();
  return {
    [Symbol.dispose]: () => {
      clearTimeout(first);
      clearInterval(timer);
    },
  };
}
