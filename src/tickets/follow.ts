import { integer, parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { FeedReader } from '../feed/feed-reader.ts';
import type { TicketComment } from '../generated/prisma/client.ts';
import { requireProject } from '../projects/access.ts';
import { findComment } from './comments.ts';
import type { TicketFeedEvent } from './feed.ts';
import { findTicket } from './read.ts';
import type { TicketRuntime } from './runtime.ts';

/** An event that the viewer may see. */
export interface TicketEvent {
  readonly seq: number;
  readonly at: Date;
  readonly type: TicketFeedEvent['type'];
  /** The row id. */
  readonly ticketId: string;
  /** Of TicketCommented; null: another event. */
  readonly comment: TicketComment | null;
}

/**
 * Follows what happens to the tickets that the viewer may see.
 * @param options.projectId id or key of the one project whose tickets are wanted; null: all tickets
 * @param options.after a seq, exclusive; null: from now on
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the project
 * @throws {BadUserInputError} {@link EventsExpiredError} for `after`
 */
export async function followTickets(
  viewer: Viewer,
  { db, feed }: TicketRuntime,
  options: { readonly projectId: string | null; readonly after: number | null },
): Promise<AsyncIterableIterator<TicketEvent, undefined>> {
  const after = options.after === null ? null : parseInput(integer(0, 2_147_483_647), options.after, ['after']);
  const project =
    options.projectId === null ? null : await requireProject(viewer, db, options.projectId, 'VIEWER', ['projectId']);
  const reader = await feed.read({ tenantId: viewer.tenantId }, { after });
  return new TicketEventReader(viewer, db, reader, project?.id ?? null);
}

/** Reads each event's ticket as the viewer may see it at that moment, and leaves the others out. */
class TicketEventReader implements AsyncIterableIterator<TicketEvent, undefined> {
  readonly #viewer: Viewer;
  readonly #db: Database;
  readonly #reader: FeedReader<TicketFeedEvent>;
  readonly #projectId: string | null;

  constructor(viewer: Viewer, db: Database, reader: FeedReader<TicketFeedEvent>, projectId: string | null) {
    this.#viewer = viewer;
    this.#db = db;
    this.#reader = reader;
    this.#projectId = projectId;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<TicketEvent, undefined>> {
    for (;;) {
      const { done, value } = await this.#reader.next();
      if (done || value === undefined) return { done: true, value: undefined };
      const event = await this.#show(value).catch((error: unknown) => {
        this.#reader.close();
        throw error;
      });
      if (event !== null) return { done: false, value: event };
    }
  }

  async return(): Promise<IteratorResult<TicketEvent, undefined>> {
    this.#reader.close();
    return { done: true, value: undefined };
  }

  async #show({ seq, at, type, ticketId, commentId }: TicketFeedEvent): Promise<TicketEvent | null> {
    const ticket = await findTicket(this.#viewer, this.#db, ticketId);
    if (ticket === null || (this.#projectId !== null && ticket.projectId !== this.#projectId)) return null;
    if (commentId === null) return { seq, at, type, ticketId, comment: null };
    const comment = await findComment(this.#viewer, this.#db, commentId);
    return comment === null ? null : { seq, at, type, ticketId, comment };
  }
}
