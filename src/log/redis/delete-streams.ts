import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { prefixOfRuns } from './entry.ts';

const batch = 500;
/** A process that has not noticed yet that its run was deleted may write the stream again: it is looked for again after so long. */
const againMs = 1_000;
const maxRounds = 10;

/**
 * Deletes the streams of runs whose rows were deleted.
 * @param prefix of all keys of the deployment (REDIS_PREFIX)
 * @throws when Redis is away: they expire then
 */
export async function deleteStreams(url: string, prefix: string, runIds: readonly string[]): Promise<void> {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
  try {
    await redis.connect();
    for (let round = 1; round <= maxRounds; round++) {
      let deleted = 0;
      for (let from = 0; from < runIds.length; from += batch)
        deleted += await redis.unlink(runIds.slice(from, from + batch).map((id) => prefixOfRuns(prefix) + id));
      if (deleted === 0) return;
      await sleep(againMs);
    }
  } finally {
    redis.disconnect();
  }
}
