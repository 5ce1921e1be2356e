import type { SwitchboardError } from '../api/errors.ts';
import { badInput } from '../api/input.ts';

/** An event by its position; its readers read the rows as they are then. */
export interface NumberedEvent {
  /** From 1 without gaps within a feed. */
  readonly seq: number;
}

/** What somebody wants to read: the events of a feed after a seq, exclusive. */
export interface FeedRequest<Owner> {
  readonly owner: Owner;
  readonly after: number;
}

/**
 * The next events of a feed, the oldest first; or why there are none: an EventsExpiredError if one of them is not kept any
 * more, a BadUserInputError if the feed has not got as far, anything else if an event cannot be read.
 */
export type FeedPage<Event> = readonly Event[] | Error;

/** A row of what a statement reads for several requests. */
export interface FeedRow {
  /** Which request it belongs to, from 1. */
  readonly place: number;
  /** The seq of the last event of the feed. */
  readonly lastSeq: number;
  /** Null: there is no event after the one that was asked for. */
  readonly seq: number | null;
}

/**
 * Sorts the rows of a statement into the pages of the requests.
 * @param rows in the order of their places and seqs; none: there is no such feed
 * @param expire the error for a feed of which events are missing
 * @returns a page for each request, in their order
 */
export function assemblePages<Owner, Row extends FeedRow, Event extends NumberedEvent>(
  requests: readonly FeedRequest<Owner>[],
  rows: readonly Row[],
  parse: (row: Row) => Event,
  expire: (lastSeq: number) => SwitchboardError,
): FeedPage<Event>[] {
  const byPlace = Map.groupBy(rows, ({ place }) => place);
  return requests.map(({ after }, index) => {
    const found = byPlace.get(index + 1) ?? [];
    const last = found[0]?.lastSeq ?? 0;
    if (after > last) return badInput(['after'], `must be at most ${last}, the seq of the last event so far`);
    let events: Event[];
    try {
      events = found.filter(({ seq }) => seq !== null).map(parse);
    } catch (error) {
      // What a newer version has written into one feed is no reason to read none.
      return error instanceof Error ? error : new Error(String(error));
    }
    // Numbers have no gaps: one that is missing was deleted, for its age or because there were too many after it.
    const isCut = events.some(({ seq }, place) => seq !== after + 1 + place);
    return isCut || (events.length === 0 && after < last) ? expire(last) : events;
  });
}
