import { z } from 'zod';

/** What a round of turns was like for its clients. Times in milliseconds. */
export const round = z.object({
  turns: z.int(),
  tokens: z.int(),
  deltas: z.int(),
  /** The median. */
  firstTokenMs: z.number(),
  firstToken95Ms: z.number(),
  totalMs: z.number(),
  /** Of all tokens. */
  lateMedianMs: z.number(),
  late99Ms: z.number(),
});
export type Round = z.infer<typeof round>;
