import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from '../config/variables.ts';
import { logFields } from '../telemetry/scope.ts';

/** Lines wait for each other for at most so long, in milliseconds, or until they have so many characters: writing is dear. */
const buffering = { periodicFlush: 50, minLength: 4_096 } as const;

/**
 * Creates the logger: one JSON object per line, to standard output by default. What is fatal is written at once, and when
 * the process exits, all is written. Fields that usually hold a secret are
 * redacted, in case one ever gets into a log call.
 */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = {
    level,
    redact: ['authorization', 'token', 'apiKey', 'variables', 'content', '*.authorization', '*.token', '*.apiKey'],
    serializers: { err: describeError },
    // The request and the trace that a line belongs to; a field of the line itself wins.
    mixin: logFields,
  };
  return pino(options, destination ?? pino.destination({ dest: 1, sync: false, ...buffering }));
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
