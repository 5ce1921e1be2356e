import { z } from 'zod';
import { parseId } from '../api/ids.ts';
import { parseInput, text } from '../api/input.ts';
import { assertCron } from './cron.ts';

const filled = (max: number) => text(1, max).refine((value) => value.trim() !== '', 'must not be blank');

const scheduleInput = z.strictObject({
  name: filled(200),
  cron: text(1, 200),
  timeZone: text(1, 100).nullish(),
  agentId: z.string().nullish(),
  scenarioKey: text(1, 255).nullish(),
  content: filled(30_000),
  isActive: z.boolean().nullish(),
});

/** A schedule as a client describes it, checked. */
export interface ScheduleDraft {
  readonly name: string;
  readonly cron: string;
  readonly timeZone: string;
  /** The row id. */
  readonly agentId: string | null;
  readonly scenarioKey: string | null;
  readonly content: string;
  readonly isActive: boolean;
}

/**
 * Checks a ScheduleInput.
 * @throws {BadUserInputError} naming the field
 */
export function parseSchedule(value: unknown): ScheduleDraft {
  const input = parseInput(scheduleInput, value, ['input']);
  const { name, content, timeZone, scenarioKey, isActive } = input;
  const cron = input.cron.trim().replaceAll(/\s+/g, ' ');
  const zone = timeZone ?? 'UTC';
  assertCron(cron, zone, ['input']);
  const agentId = input.agentId == null ? null : parseId('Agent', input.agentId, ['input', 'agentId']);
  const rest = { timeZone: zone, scenarioKey: scenarioKey ?? null, isActive: isActive ?? true };
  return { name, cron, content, agentId, ...rest };
}
