import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from '../config/variables.ts';

/**
 * Makes the log: one JSON object a line, to standard output unless told otherwise. Should a secret ever end up in what
 * is logged, the fields that usually hold one are blanked.
 */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = {
    level,
    redact: ['authorization', 'token', 'apiKey', 'variables', 'content', '*.authorization', '*.token', '*.apiKey'],
    serializers: { err: describeError },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** Type, message and stack of an error and of its causes. Other properties stay out: drivers put parameters there. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}
