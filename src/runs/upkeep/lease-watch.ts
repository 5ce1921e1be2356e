import type { Run } from '../../generated/prisma/client.ts';
import { leaseMs, type Moment, msSince, takeMoment } from '../lease.ts';

/** If nothing was read for so long, in milliseconds, nobody knows what happened in between. */
const maxGapMs = leaseMs / 2;

type LeasedRow = Pick<Run, 'id' | 'leaseOwner' | 'leaseEpoch' | 'leaseExpiresAt'>;

/** A lease as it was read first, and when. */
interface SeenLease {
  readonly lease: string;
  readonly since: Moment;
}

/**
 * Decides whether the process of a run is dead. It believes what it has watched itself: a lease that nobody renewed for as
 * long as a lease lasts, by its own clock, while it reached the database. The times in the rows are of another clock, and
 * after an outage every lease is over although its owner lives.
 */
export class LeaseWatch {
  #seen = new Map<string, SeenLease>();
  #lastRound: Moment | null = null;

  /**
   * Takes the leases that have not been renewed for a while, in each round.
   * @returns those that are over
   */
  listDead<Row extends LeasedRow>(rows: readonly Row[]): Row[] {
    const now = takeMoment();
    const hasWatched = this.#lastRound !== null && msSince(this.#lastRound) <= maxGapMs;
    const before = hasWatched ? this.#seen : new Map<string, SeenLease>();
    this.#lastRound = now;
    this.#seen = new Map();
    return rows.filter((row) => {
      // Its process has given it back.
      if (row.leaseOwner === null) return true;
      const lease = `${row.leaseOwner} ${row.leaseEpoch} ${row.leaseExpiresAt?.getTime()}`;
      const known = before.get(row.id);
      const seen = known?.lease === lease ? known : { lease, since: now };
      this.#seen.set(row.id, seen);
      return msSince(seen.since) >= leaseMs;
    });
  }
}
