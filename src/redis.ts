import { Redis } from 'ioredis';

/**
 * Opens Redis. Nothing waits for it: while it is out of reach commands fail at once, and what it is for is done in this
 * process alone. It comes back by itself.
 *
 * @param prefix of all keys, so that several deployments can share a server
 * @param onOutage told once for each time that it goes out of reach
 */
export function openRedis(url: string, prefix: string, onOutage: (error: Error) => void): Redis & AsyncDisposable {
  const redis = new Redis(url, { keyPrefix: prefix, enableOfflineQueue: false, maxRetriesPerRequest: 1 });
  let out = false;
  redis.on('ready', () => {
    out = false;
  });
  redis.on('error', (error: Error) => {
    if (out) return;
    out = true;
    onOutage(error);
  });
  return Object.assign(redis, { [Symbol.asyncDispose]: async () => redis.disconnect() });
}
