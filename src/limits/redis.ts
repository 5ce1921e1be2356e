import { Redis } from 'ioredis';

/** The longest that an answer may take, in milliseconds: everything that is limited waits for it. */
const answerMs = 500;
/** The longest that connecting may take, in milliseconds. Nothing waits for it. */
const connectMs = 2_000;

/**
 * Opens Redis. Nothing waits for it: while it is unavailable, commands fail immediately, and what it is for is done in this
 * process alone. It reconnects by itself. If it accepts commands and answers none for half a second, it counts as unavailable as
 * well: its connection is given up.
 *
 * @param prefix of all keys, so that several deployments can share a server
 * @param onOutage called once each time that it becomes unavailable
 */
export function openRedis(url: string, prefix: string, onOutage: (error: Error) => void): Redis & AsyncDisposable {
  const redis = new Redis(url, {
    keyPrefix: prefix,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: connectMs,
    commandTimeout: answerMs,
    socketTimeout: answerMs,
    // Who asked has counted by itself since: to count again would be twice.
    autoResendUnfulfilledCommands: false,
    // It is a replica now: its address leads to the new primary, over a new connection.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
  });
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
