import type { z } from 'zod';

/** How a failed job is tried again, and how long it may take. */
export interface JobOptions {
  /** How often it is tried again after a failure, a timeout or the death of its process, and the seconds before it: they double each time, up to `maxDelaySeconds`. */
  readonly retry: { readonly limit: number; readonly delaySeconds: number; readonly maxDelaySeconds: number };
  /** How long one attempt may take, in seconds: then its signal aborts, and it has failed. */
  readonly timeoutSeconds: number;
  /** How many of them one process carries out at the same time. */
  readonly atOnce: number;
  /** How many of one group (a tenant, say) one process carries out at the same time, so that others get their share; null: no fewer. */
  readonly atOncePerGroup: number | null;
  /** Whether of the jobs with one key only one exists at a time, waiting or running: others are not enqueued. */
  readonly singleton: boolean;
}

/** A kind of background job. */
export interface Job<Payload> {
  /** Lower case with hyphens. It is stored: do not rename it while jobs wait. */
  readonly name: string;
  /** What is stored with a job: ids and small values, never a secret. It is parsed when the job is carried out, too: an earlier version may have stored it. */
  readonly payload: z.ZodType<Payload>;
  readonly options: JobOptions;
}

const usual: JobOptions = {
  retry: { limit: 5, delaySeconds: 5, maxDelaySeconds: 600 },
  timeoutSeconds: 300,
  atOnce: 1,
  atOncePerGroup: null,
  singleton: false,
};

/**
 * Defines a kind of background job. It is carried out at least once: what it does has to be the same if it is done twice.
 * @param options by default, five retries after 5 to 600 seconds, and five minutes for an attempt
 */
export function defineJob<Payload>(
  name: string,
  payload: z.ZodType<Payload>,
  options: Partial<JobOptions> = {},
): Job<Payload> {
  return { name, payload, options: { ...usual, ...options } };
}

/** One attempt at a job. */
export interface Attempt {
  /** Aborts if the job is taken from this process: it took too long, its heartbeat was lost, or the process stops. */
  readonly signal: AbortSignal;
  /** How often it was tried before. */
  readonly retries: number;
  /** Whether it is not tried again if it fails now. */
  readonly isLast: boolean;
}

/** What a job does. It fails by throwing. */
export type JobWork<Payload> = (payload: Payload, attempt: Attempt) => Promise<void>;
