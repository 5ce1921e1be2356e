import { z } from 'zod';
import { speech } from './speech.ts';

/** Where somebody talks. */
export const talk = z.strictObject({ token: z.string(), conversationId: z.string() });
export type Talk = z.infer<typeof talk>;

/** What a turn is asked for, and where. */
export const turnParams = z.strictObject({
  token: z.string(),
  conversationId: z.string(),
  speech,
  /** The instance that it is started at. */
  start: z.string(),
  /** The instances at which it is read beside that. */
  readers: z.array(z.string()),
  /** Whether readers come back to the same instance only. */
  stay: z.boolean(),
});

/** What the readers of a turn saw: first the one that started it. */
export const seenTurn = z.object({
  readers: z.array(
    z.object({
      faults: z.array(z.string()),
      /** What a client was told that an application would have to deal with. */
      errors: z.array(z.string()),
      reconnects: z.int(),
      /** How often text was taken back or told again. */
      repeats: z.int(),
      /** How late each piece came, against the most punctual one that any reader of the turn was given. */
      lateMs: z.array(z.number()),
      /** When each delta came, by Date.now(). */
      deltaTimes: z.array(z.number()),
    }),
  ),
});
export type SeenTurn = z.infer<typeof seenTurn>;

/** What came of many turns that followed each other. */
export const talkResult = z.object({
  turns: z.int(),
  reconnects: z.int(),
  repeats: z.int(),
  faults: z.array(z.string()),
  errors: z.array(z.string()),
  /** The longest time between two deltas of each turn, in milliseconds. */
  pauses: z.array(z.number()),
});
export type TalkResult = z.infer<typeof talkResult>;
