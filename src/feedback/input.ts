import { z } from 'zod';
import { parseId } from '../api/ids.ts';
import { badInput, parseInput, text } from '../api/input.ts';
import type { FeedbackRating } from '../generated/prisma/client.ts';

const feedbackInput = z.strictObject({
  messageId: z.string(),
  rating: z.enum(['UP', 'DOWN']).nullish(),
  comment: text(1, 5_000).nullish(),
});

/** What a user says of an answer, checked. */
export interface GivenFeedback {
  /** The row id. */
  readonly messageId: string;
  readonly rating: FeedbackRating;
  readonly comment: string | null;
}

/**
 * Checks the arguments of setFeedback.
 * @returns the rating null: the feedback is removed
 * @throws {BadUserInputError} naming the field and its limit; also for a comment without a rating
 */
export function parseFeedback(
  args: unknown,
): Omit<GivenFeedback, 'rating'> & { readonly rating: FeedbackRating | null } {
  const { messageId, rating = null, comment = null } = parseInput(feedbackInput, args, []);
  const id = parseId('Message', messageId, ['messageId']);
  if (rating === null && comment !== null) throw badInput(['comment'], 'must be omitted if there is no rating');
  return { messageId: id, rating, comment };
}
