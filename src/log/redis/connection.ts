import { Redis } from 'ioredis';

/** The longest that connecting may take, in milliseconds. */
const connectMs = 2_000;
/** The longest pause between two attempts to connect, in milliseconds. */
const maxRetryMs = 1_000;

/**
 * Opens a connection to Redis that waits for nothing: while Redis is away, commands fail immediately. It connects again by
 * itself, and gives up a connection on which an answer takes too long.
 * @param answerMs the longest that an answer may take
 */
export function openConnection(url: string, answerMs: number): Redis {
  return new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: connectMs,
    commandTimeout: answerMs,
    socketTimeout: answerMs,
    // It is a replica now: its address leads to the new primary, over a new connection.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
    retryStrategy: (attempt) => Math.min(attempt * 50, maxRetryMs),
  });
}
