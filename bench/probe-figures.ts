import { z } from 'zod';

/** CPU seconds since a server was started. */
export const cpu = z.object({
  /** Of the process with all its threads, and of those that it has started: an embedded database is one. */
  process: z.number(),
  /** Of the main thread alone. */
  mainThread: z.number(),
});

/** Bytes after a garbage collection. */
export const memory = z.object({ rss: z.number(), heapUsed: z.number(), external: z.number() });
