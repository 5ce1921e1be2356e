import { type CronExpression, CronExpressionParser } from 'cron-parser';
import { badInput, type InputPath } from '../api/input.ts';

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

function assertTimeZone(timeZone: string, path: InputPath): void {
  try {
    if (/^[+-]/.test(timeZone)) throw new RangeError('An offset is no time zone.');
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    throw badInput(path, 'must be the name of an IANA time zone, such as Europe/Berlin');
  }
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
 * forward from a time that is stored: backwards, the library finds other times where clocks are changed.
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
    }
    return { dueAt, nextAt: findNext(cron, timeZone, now) };
  } catch {
    return { dueAt, nextAt: null };
  }
}

function readCron(cron: string, timeZone: string, after: Date): CronExpression {
  return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: after });
}
