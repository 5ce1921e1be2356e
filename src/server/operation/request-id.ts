import { randomUUID } from 'node:crypto';

/** The client's own id for a request if it is well-formed, so that logs can be joined; else a new one. */
export function readRequestId(given: unknown): string {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}
