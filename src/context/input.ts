import { z } from 'zod';
import { json, list, parseInput, text } from '../api/input.ts';
import { projectName } from '../projects/input.ts';

/** The bounds of what a client gives. */
const maxPageCharacters = 20_000;
const maxDataCharacters = 100_000;
const maxRecords = 20;

const snapshotInput = z.strictObject({
  page: text(0, maxPageCharacters).nullish(),
  projectId: projectName.nullish(),
  recordIds: list(text(1, 255), maxRecords).nullish(),
  data: json(maxDataCharacters).nullish(),
  redactPii: z.boolean().nullish(),
});

/** A ContextSnapshotInput, checked. */
export interface SnapshotInput {
  readonly page: string | null;
  /** The id or the key of the project; null: none. */
  readonly project: string | null;
  /** Each once, in the order in which they were given. */
  readonly recordIds: readonly string[];
  /** JSON; null: none. */
  readonly data: unknown;
  readonly redactPii: boolean;
}

/**
 * Checks a ContextSnapshotInput.
 * @throws {BadUserInputError} naming the field and its limit
 */
export function parseSnapshotInput(value: unknown): SnapshotInput {
  const { page, projectId, recordIds, data, redactPii } = parseInput(snapshotInput, value, ['input']);
  return {
    page: page ?? null,
    project: projectId ?? null,
    recordIds: [...new Set(recordIds ?? [])],
    data: data ?? null,
    redactPii: redactPii ?? true,
  };
}
