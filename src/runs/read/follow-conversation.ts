import { NotFoundError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import { integer, parseInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { readConversation } from '../../conversations/read.ts';
import type { FeedEvent } from '../../feed/feed-event.ts';
import type { FeedReader } from '../../feed/feed-reader.ts';
import { isDeletedAfter } from '../../feed/read-feed.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * Follows what happens in a conversation, to its deletion. If it was deleted after `after`, the reader still gets the
 * events up to that.
 * @param rawId the public id
 * @param after a seq, exclusive; null: from now on
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError} for the conversation
 * @throws {BadUserInputError} {@link EventsExpiredError} for `after`
 */
export async function followConversation(
  viewer: Viewer,
  { db, feed }: RunRuntime,
  rawId: string,
  after: number | null,
): Promise<FeedReader<FeedEvent>> {
  const conversationId = parseId('Conversation', rawId, ['conversationId']);
  const position = parseAfter(after);
  try {
    await readConversation(viewer, db, rawId);
  } catch (error) {
    const isGone = error instanceof NotFoundError && position !== null;
    if (!isGone || !(await isDeletedAfter(viewer, db, conversationId, position))) throw error;
  }
  return feed.follow(viewer, { after: position, conversationId });
}

/**
 * Follows what happens in all conversations of the viewer.
 * @param after a seq, exclusive; null: from now on
 * @throws {BadUserInputError} {@link EventsExpiredError} for `after`
 */
export async function followViewer(
  viewer: Viewer,
  { feed }: RunRuntime,
  after: number | null,
): Promise<FeedReader<FeedEvent>> {
  return feed.follow(viewer, { after: parseAfter(after), conversationId: null });
}

function parseAfter(after: number | null): number | null {
  return after === null ? null : parseInput(integer(0, 2_147_483_647), after, ['after']);
}
