import { createHash } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';

/** The columns of a row that was created with an idempotency key. */
export interface CreationColumns {
  readonly creationKey: string;
  /** SHA-256 of the input, in hexadecimal. */
  readonly creationHash: string;
}

/**
 * @param key the idempotencyKey of an input
 * @param input the checked input without the key: its fields are in the order of the schema
 * @returns null: the input has no key
 */
export function makeCreationColumns(key: string | null | undefined, input: object): CreationColumns | null {
  if (key == null) return null;
  return { creationKey: key, creationHash: hashCreation(input) };
}

/** SHA-256 of an input, in hexadecimal. */
export function hashCreation(input: object): string {
  return createHash('sha256').update(JSON.stringify(input)).digest('hex');
}

/**
 * Makes sure that a row that has the key of an input was created with the same input.
 * @param what the row is: `conversation`
 * @throws {ConflictError} if it was created with another input
 */
export function assertSameCreation(
  row: { readonly creationHash: string | null },
  { creationHash }: CreationColumns,
  what: string,
): void {
  if (row.creationHash === creationHash) return;
  throw new ConflictError(
    `This idempotencyKey has created a ${what} with another input. Use a new key for a new ${what}.`,
  );
}
