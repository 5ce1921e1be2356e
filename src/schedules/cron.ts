import { type CronExpression, CronExpressionParser } from 'cron-parser';
import { badInput, type InputPath } from '../api/input.ts';
import { assertTimeZone } from '../api/time-zone.ts';

/** Five fields of numbers, names, lists, ranges and steps: what else the library reads (`@secondly`, `H`) is not taken. */
const fiveFields = /^([0-9a-z*,/#?-]+ ){4}[0-9a-z*,/#?-]+$/i;
const hashed = /(^|[ ,])H/i;
/** A time that was missed for longer is not made up for. */
const maxMissedMs = 24 * 3_600_000;
/** No line fires more often than each minute; a missed day has so many times. */
const maxSteps = maxMissedMs / 60_000 + 2;

/**
 * Checks a cron expression and its time zone.
 * @throws {BadUserInputError} naming the field: also for one that fires more often than each minute, or never
 */
export function assertCron(cron: string, timeZone: string, path: InputPath): void {
  assertTimeZone(timeZone, [...path, 'timeZone']);
  const at = [...path, 'cron'];
  if (!fiveFields.test(cron) || hashed.test(cron))
    throw badInput(at, 'must have five fields: minute, hour, day of the month, month, day of the week');
  if (findNext(cron, timeZone, new Date()) === null)
    throw badInput(at, 'is not a cron expression, or names a time that never comes');
}

/** The first time after a moment; null: the expression is invalid, or it never comes. */
export function findNext(cron: string, timeZone: string, after: Date): Date | null {
  try {
    return readCron(cron, timeZone, after).next().toDate();
  } catch {
    return null;
  }
}

/** What of a schedule is due. */
export interface Due {
  /** The time for which a turn starts; null: those that came are too long ago. */
  readonly dueAt: Date | null;
  /** Null: no other time comes. */
  readonly nextAt: Date | null;
}

/**
 * The last time that has come, of those from `nextAt` on: of several that were missed, one is made up for. It only goes
 * forward from a time that is stored: backwards, the library finds other times where clocks are changed. Elsewhere it skips
 * what does not matter, in a few steps however many times were missed.
 */
export function findDue(cron: string, timeZone: string, nextAt: Date, now: Date): Due {
  const oldest = new Date(now.getTime() - maxMissedMs);
  let dueAt = nextAt >= oldest ? nextAt : null;
  try {
    const times = readCron(cron, timeZone, dueAt ?? oldest);
    for (let step = 0; step < maxSteps; step += 1) {
      const next = times.next().toDate();
      if (next > now) return { dueAt, nextAt: next };
      dueAt = next;
      if (step > 0 || readOffset(timeZone, oldest) !== readOffset(timeZone, now)) continue;
      dueAt = skipMissed(times, next, now);
      times.reset(dueAt);
    }
    return { dueAt, nextAt: findNext(cron, timeZone, now) };
  } catch {
    return { dueAt, nextAt: null };
  }
}

/** The last time that has come, or one that is a minute before it, by halving the time between. */
function skipMissed(times: CronExpression, first: Date, now: Date): Date {
  let last = first;
  // None comes after it until now.
  let end = now;
  while (end.getTime() - last.getTime() > 60_000) {
    const middle = new Date((end.getTime() + last.getTime()) / 2);
    times.reset(middle);
    const next = readNext(times);
    if (next === null || next > now) end = middle;
    else last = next;
  }
  return last;
}

/** Null: none comes any more. */
function readNext(times: CronExpression): Date | null {
  try {
    return times.next().toDate();
  } catch {
    return null;
  }
}

/** What clocks differ from UTC at a moment, such as `GMT+02:00`. */
function readOffset(timeZone: string, at: Date): string | undefined {
  const parts = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' }).formatToParts(at);
  return parts.find(({ type }) => type === 'timeZoneName')?.value;
}

function readCron(cron: string, timeZone: string, after: Date): CronExpression {
  return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: after });
}
