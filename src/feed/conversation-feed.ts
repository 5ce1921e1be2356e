import type { Logger } from 'pino';
import type { Database } from '../database/client.ts';
import { Feed } from './feed.ts';
import type { FeedEvent, FeedOwner } from './feed-event.ts';
import type { FeedReader } from './feed-reader.ts';
import { deleteExpiredEvents, readFeed, readLastSeqs } from './read-feed.ts';

/** The channel of PostgreSQL on which instances notify each other that a user's feed has grown. */
export const feedChannel = 'switchboard_feed';

/** The feeds of all users: what happens in their conversations. */
export class ConversationFeed extends Feed<FeedOwner, FeedEvent> {
  /** @param options.alone whether no other process uses the database: then nobody has to be notified */
  constructor(options: { readonly db: Database; readonly logger: Logger; readonly alone: boolean }) {
    super(
      {
        channel: feedChannel,
        keyOf: ({ tenantId, userId }) => JSON.stringify([tenantId, userId]),
        read: readFeed,
        readLastSeqs: async (owners, db) =>
          (await readLastSeqs(owners, db)).map(({ lastSeq, ...owner }) => ({ lastSeq, owner })),
        deleteExpired: (db) => deleteExpiredEvents(db),
      },
      options,
    );
  }

  /**
   * Reads the feed of a user from a position on.
   * @param options.after a seq, exclusive; null: from now on
   * @param options.conversationId the row id of the one conversation to read, to its deletion; null: all
   * @throws {EventsExpiredError} if events after it are not kept any more
   * @throws {BadUserInputError} if the feed has not got that far
   */
  follow(
    owner: FeedOwner,
    { after, conversationId }: { readonly after: number | null; readonly conversationId: string | null },
  ): Promise<FeedReader<FeedEvent>> {
    if (conversationId === null) return this.read(owner, { after });
    const select = (event: FeedEvent) => {
      if (event.conversationId !== conversationId) return 'skip';
      return event.type === 'ConversationDeleted' ? 'last' : 'deliver';
    };
    return this.read(owner, { after, select });
  }
}
