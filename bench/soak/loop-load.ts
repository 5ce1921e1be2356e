import { z } from 'zod';

/** What the main thread of a process did since it was last asked. */
export const loopLoad = z.object({
  /** The part of the time in which it was not idle, from 0 to 1. */
  busy: z.number(),
  /** How late a timer was, in milliseconds: what everybody waits for, whatever they ask for. */
  delayMs: z.object({ p50: z.number(), p99: z.number(), max: z.number() }),
});
export type LoopLoad = z.infer<typeof loopLoad>;
