import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { badInput, parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { isUniqueViolation } from '../database/errors.ts';
import type { Contact } from '../generated/prisma/client.ts';
import type { ContactDependencies } from './dependencies.ts';
import { type ContactInput, contactInput, isFields, maxFields, maxFieldsLength } from './input.ts';
import { changeColumns, findHolder, insertContact } from './write.ts';

const maxAttempts = 3;

/** Where a contact is saved from. */
export interface SavedFrom {
  /** The row id of the contact of the conversation; null: it has none. */
  readonly linkedTo: string | null;
  /** Names the tool call, in all attempts of it; null: none. */
  readonly creationKey: string | null;
}

/**
 * Saves what an agent was told of a person: the contact with the e-mail address is changed, else the one with the telephone
 * number, else the one that the same call has created, else the one of the conversation if nothing contradicts it; else a
 * new one is created. What is given replaces what was there; custom fields are joined.
 * @param rawInput a ContactInput
 * @throws {BadUserInputError} naming the field; {@link ConflictError} if the telephone number is that of another contact than
 *   the e-mail address, with the id of that one
 */
export async function saveContact(
  viewer: Viewer,
  deps: ContactDependencies,
  rawInput: unknown,
  from: SavedFrom,
): Promise<Contact> {
  const input = parseInput(contactInput(deps.defaultCountry), rawInput, []);
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const target = await findTarget(viewer, deps, input, from);
    try {
      if (target === null) return await insertContact(viewer, deps.db, input, from.creationKey);
      const changed = await changeColumns(viewer, deps.db, target.id, joinFields(target, input));
      if (changed !== null) return changed;
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      // Of somebody who was faster, or the telephone number of another contact.
      const other = target && (await findHolder(viewer, deps.db, { phone: input.phone }));
      if (other && other.id !== target.id) {
        const contactId = formatId('Contact', other.id);
        throw new ConflictError(`The telephone number is that of another contact, ${contactId}.`, { contactId });
      }
    }
  }
  throw new ConflictError('The contact is being changed by others. Try again.');
}

async function findTarget(
  viewer: Viewer,
  { db }: ContactDependencies,
  input: ContactInput,
  { linkedTo, creationKey }: SavedFrom,
): Promise<Contact | null> {
  const { tenantId } = viewer;
  const holder = input.email || input.phone ? await findHolder(viewer, db, input) : null;
  if (holder) return db.contact.findUnique({ where: { id: holder.id, tenantId } });
  const created =
    creationKey === null
      ? null
      : await db.contact.findFirst({ where: { tenantId, creationKey }, include: { mergedInto: true } });
  if (created) return created.mergedInto ?? created;
  const linked = linkedTo === null ? null : await db.contact.findUnique({ where: { id: linkedTo, tenantId } });
  return linked && fits(linked, input) ? linked : null;
}

/** Whether what is given can be of the same person: nothing of it is known otherwise. */
function fits({ name, email, phone }: Contact, input: ContactInput): boolean {
  const sameOrNew = (known: string | null, given: string | null | undefined) =>
    known === null || given == null || known.toLowerCase() === given.toLowerCase();
  return sameOrNew(name, input.name) && sameOrNew(email, input.email?.email) && sameOrNew(phone, input.phone);
}

function joinFields({ fields: known }: Contact, input: ContactInput): ContactInput {
  if (input.fields == null || !isFields(known)) return input;
  const joined = Object.fromEntries([...Object.entries(known), ...Object.entries(input.fields)]);
  if (Object.keys(joined).length > maxFields || JSON.stringify(joined).length > maxFieldsLength)
    throw badInput(['fields'], `cannot be added: a contact has at most ${maxFields} fields`);
  return { ...input, fields: joined };
}
