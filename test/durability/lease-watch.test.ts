import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { leaseMs } from '../../src/runs/lease.ts';
import { LeaseWatch } from '../../src/runs/upkeep/lease-watch.ts';

// The clock of the process alone: that of the machine does not stand still in tests.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const everyMs = 2_000;
const lease = (expiresAt: number, owner: string | null = 'one', epoch = 1) => ({
  id: 'run',
  leaseOwner: owner,
  leaseEpoch: epoch,
  leaseExpiresAt: new Date(expiresAt),
});

/** Watches what the rows hold in each round. @returns after how many milliseconds the run was taken for lost, or null */
function watchRounds(rows: (round: number) => ReturnType<typeof lease>, rounds = 20): number | null {
  const watch = new LeaseWatch();
  for (let round = 0; round < rounds; round++) {
    if (watch.listDead([rows(round)]).length > 0) return round * everyMs;
    vi.advanceTimersByTime(everyMs);
  }
  return null;
}

test('A lease is over when nobody has renewed it for as long as it lasts, however long ago it ended by other clocks', () => {
  const [past, future] = [Date.now() - 3_600_000, Date.now() + 20_000];
  expect(watchRounds(() => lease(past))).toBe(leaseMs);
  expect(watchRounds(() => lease(future))).toBe(leaseMs);
});

test('A lease that is renewed, even in the last moment, or that another process has taken, is not over', () => {
  expect(watchRounds((round) => lease(Math.floor(round / 4)))).toBeNull();
  expect(watchRounds((round) => lease(0, round < 4 ? 'one' : 'two', round < 4 ? 1 : 2), 8)).toBeNull();
});

test('A lease that was given back is over immediately', () => {
  expect(watchRounds(() => lease(0, null))).toBe(0);
});

test('After an outage of the database the owners get the time of a lease again', () => {
  const watch = new LeaseWatch();
  const row = lease(0);
  watch.listDead([row]);
  vi.advanceTimersByTime(60_000);
  expect(watch.listDead([row])).toEqual([]);
  for (let waited = everyMs; waited < leaseMs; waited += everyMs) {
    vi.advanceTimersByTime(everyMs);
    expect(watch.listDead([row])).toEqual([]);
  }
  vi.advanceTimersByTime(everyMs);
  expect(watch.listDead([row])).toEqual([row]);
});
