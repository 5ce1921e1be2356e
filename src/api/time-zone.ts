import { badInput, type InputPath } from './input.ts';

/** A day of a time zone, as its calendar names it: `2026-11-29`. */
export interface Day {
  readonly name: string;
  /** Its first moment, in milliseconds. */
  readonly start: number;
}

const dayMs = 24 * 3_600_000;

/**
 * Checks the name of a time zone.
 * @throws {BadUserInputError} naming the argument
 */
export function assertTimeZone(timeZone: string, path: InputPath): void {
  try {
    if (/^[+-]/.test(timeZone)) throw new RangeError('An offset is no time zone.');
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    throw badInput(path, 'must be the name of an IANA time zone, such as Europe/Berlin');
  }
}

/**
 * The days of a time zone that have a part in a range, in their order. One on which the clocks are changed has 23 or 25 hours.
 * @param until exclusive, after `from`
 * @param timeZone a checked one
 */
export function listDays(from: Date, until: Date, timeZone: string): Day[] {
  const clock = openClock(timeZone);
  const days: Day[] = [];
  // At noon of no calendar, so that adding a day never skips or repeats one.
  for (let noon = Date.parse(`${clock.dayOf(from.getTime())}T12:00:00Z`); ; noon += dayMs) {
    const name = new Date(noon).toISOString().slice(0, 10);
    const start = findStart(clock, name);
    if (start >= until.getTime()) return days;
    days.push({ name, start });
  }
}

/** What clocks of a time zone say. */
interface Clock {
  /** Their time at a moment, as if they were in UTC, in milliseconds. */
  timeOf(moment: number): number;
  dayOf(moment: number): string;
}

function openClock(timeZone: string): Clock {
  // The form of Sweden: 2026-11-29 20:00:00.
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
  const say = (moment: number) => format.format(moment);
  return {
    timeOf: (moment) => Date.parse(`${say(moment).replace(' ', 'T')}Z`),
    dayOf: (moment) => say(moment).slice(0, 10),
  };
}

/**
 * The first moment of a day. Clocks may be changed at midnight itself: with the offset of the day before or after, midnight
 * is the moment of which they say this day first.
 */
function findStart(clock: Clock, day: string): number {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  const candidates = [midnight - dayMs, midnight + dayMs].map((near) => midnight - (clock.timeOf(near) - near));
  const [first = midnight, second = first] = candidates.toSorted((one, other) => one - other);
  return clock.dayOf(first) >= day ? first : second;
}
