import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from '../config/variables.ts';

/**
 * Creates the logger: one JSON object per line, to standard output by default. Fields that usually hold a secret are
 * redacted, in case one ever gets into a log call.
 */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = {
    level,
    redact: ['authorization', 'token', 'apiKey', 'variables', 'content', '*.authorization', '*.token', '*.apiKey'],
    serializers: { err: describeError },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Type, message and stack of an error and of its causes. Other properties are left out: drivers put parameters there. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}
