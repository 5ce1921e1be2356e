import type { Db } from '../database/client.ts';

/** The clock that schedules follow: that of the database, which all instances share. */
export async function readClock(db: Db): Promise<Date> {
  const [clock] = await db.$queryRaw<{ readonly now: Date }[]>`SELECT clock_timestamp() AS now`;
  if (clock === undefined) throw new Error('The database does not tell the time.');
  return clock.now;
}
