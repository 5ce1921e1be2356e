import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { badInput, parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import { isUniqueViolation } from '../database/errors.ts';
import { type Contact, Prisma } from '../generated/prisma/client.ts';
import type { ContactDependencies } from './dependencies.ts';
import { type ContactInput, contactInput } from './input.ts';
import { type ContactQuery, readContact } from './read.ts';

/** How often a write is tried that somebody else's write has refused, who is then gone. */
const maxAttempts = 3;

/**
 * Creates a contact of the viewer's tenant.
 * @param input ContactInput
 * @throws {BadUserInputError} naming the field; also if it has neither a name nor an e-mail address nor a telephone number
 * @throws {ConflictError} if another contact has the e-mail address or the telephone number, with its id
 */
export async function createContact(
  viewer: Viewer,
  { db, defaultCountry }: ContactDependencies,
  input: unknown,
  query: ContactQuery = {},
): Promise<Contact> {
  const parsed = parseInput(contactInput(defaultCountry), input, ['input']);
  return writeOrExplain(viewer, db, parsed, () => insertContact(viewer, db, parsed, null, query));
}

/**
 * Stores a new contact.
 * @param creationKey makes creating idempotent: which tool call creates it; null: none
 * @throws {BadUserInputError} if nothing is given by which a person is known; what the database throws if another contact has
 *   the e-mail address, the telephone number or the key
 */
export async function insertContact(
  { tenantId }: Viewer,
  db: Database,
  { name, email, phone, notes, fields }: ContactInput,
  creationKey: string | null,
  query: ContactQuery = {},
): Promise<Contact> {
  if (!isKnown({ name, email, phone }))
    throw badInput(['input'], 'must have a name, an e-mail address or a telephone number');
  const id = randomUUIDv7();
  await db.$executeRaw`
    INSERT INTO contacts (id, tenant_id, name, email, email_key, phone, notes, fields, creation_key)
    VALUES (${id}::uuid, ${tenantId}, ${name ?? null}, ${email?.email ?? null}, ${email?.key ?? null},
      ${phone ?? null}, ${notes || null}, ${JSON.stringify(fields ?? {})}::jsonb, ${creationKey})`;
  return db.contact.findUniqueOrThrow({ where: { id, tenantId }, ...query });
}

/**
 * Changes the given fields of a contact; null removes a value. Custom fields are replaced as a whole.
 * @param id the public id; of a contact that was merged, the one into which it was merged is changed
 * @param input ContactInput
 * @throws {BadUserInputError} naming the field; {@link NotFoundError}; {@link ForbiddenError}
 * @throws {ConflictError} if another contact has the e-mail address or the telephone number, with its id
 */
export async function updateContact(
  viewer: Viewer,
  { db, defaultCountry }: ContactDependencies,
  id: string,
  input: unknown,
  query: ContactQuery = {},
): Promise<Contact> {
  const parsed = parseInput(contactInput(defaultCountry), input, ['input']);
  return writeOrExplain(viewer, db, parsed, async () => {
    const before = await readContact(viewer, db, id);
    const { name = before.name, email = before.email, phone = before.phone } = parsed;
    if (!isKnown({ name, email, phone }))
      throw badInput(['input'], 'must leave a name, an e-mail address or a telephone number');
    return changeColumns(viewer, db, before.id, parsed, query);
  });
}

/**
 * Stores what is given: absent stays, null is removed. By SQL: Prisma drops a custom field that is named `__proto__`.
 * @param row the row id
 * @returns null: the contact was merged or erased meanwhile
 */
export async function changeColumns(
  { tenantId }: Viewer,
  db: Database,
  row: string,
  { name, email, phone, notes, fields }: ContactInput,
  query: ContactQuery = {},
): Promise<Contact | null> {
  const columns = [
    Prisma.sql`updated_at = now()`,
    ...(name === undefined ? [] : [Prisma.sql`name = ${name}`]),
    ...(email === undefined ? [] : [Prisma.sql`email = ${email?.email ?? null}, email_key = ${email?.key ?? null}`]),
    ...(phone === undefined ? [] : [Prisma.sql`phone = ${phone}`]),
    ...(notes === undefined ? [] : [Prisma.sql`notes = ${notes || null}`]),
    ...(fields === undefined ? [] : [Prisma.sql`fields = ${JSON.stringify(fields ?? {})}::jsonb`]),
  ];
  const changed = await db.$executeRaw`
    UPDATE contacts SET ${Prisma.join(columns, ', ')}
    WHERE id = ${row}::uuid AND tenant_id = ${tenantId} AND merged_into_id IS NULL`;
  return changed === 0 ? null : db.contact.findUnique({ where: { id: row, tenantId }, ...query });
}

function isKnown(values: Readonly<Record<'name' | 'email' | 'phone', unknown>>): boolean {
  return Object.values(values).some((value) => value !== undefined && value !== null);
}

/**
 * Writes a contact, and says whose e-mail address or telephone number it is if the database refuses it. Tried again if that
 * contact is gone, or if the contact itself was merged meanwhile.
 * @param write returns null if there was nothing to write to
 */
async function writeOrExplain(
  viewer: Viewer,
  db: Database,
  input: ContactInput,
  write: () => Promise<Contact | null>,
): Promise<Contact> {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    try {
      const written = await write();
      if (written !== null) return written;
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      const other = await findHolder(viewer, db, input);
      if (other !== null) throw takenBy(other);
    }
  }
  throw new ConflictError('The contact was changed by somebody else meanwhile. Try again.');
}

/** Who has an e-mail address or a telephone number. */
export interface Holder {
  readonly id: string;
  readonly has: 'e-mail address' | 'telephone number';
}

/** The contact that has the e-mail address of an input, else the one that has its telephone number. One statement. */
export async function findHolder(
  { tenantId }: Viewer,
  db: Database,
  { email, phone }: Pick<ContactInput, 'email' | 'phone'>,
): Promise<Holder | null> {
  const found = await db.contact.findMany({
    where: { tenantId, OR: [...(email ? [{ emailKey: email.key }] : []), ...(phone ? [{ phone }] : [])] },
    select: { id: true, emailKey: true },
  });
  const byEmail = email && found.find(({ emailKey }) => emailKey === email.key);
  if (byEmail) return { id: byEmail.id, has: 'e-mail address' };
  const [byPhone] = found;
  return byPhone === undefined ? null : { id: byPhone.id, has: 'telephone number' };
}

function takenBy({ id, has }: Holder): ConflictError {
  const contactId = formatId('Contact', id);
  return new ConflictError(`The contact ${contactId} has this ${has} already: change it, or merge the two.`, {
    contactId,
  });
}
