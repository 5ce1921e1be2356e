import { z } from 'zod';
import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import { badInput, type InputPath, list, parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import type { Contact } from '../generated/prisma/client.ts';
import { isFields, maxFields, maxFieldsLength } from './input.ts';
import { type ContactQuery, explainMissingContact } from './read.ts';
import { contactReferences, lockMerges, tableOf } from './references.ts';

/** Contacts that are merged in one operation at most. */
const maxMerged = 20;

const fromIdsInput = list(z.string(), maxMerged).min(1, 'must have at least one id');

/**
 * Merges contacts into another one. Its own values win; what it does not have is filled with the first value that one of
 * the others has; custom fields are joined. Everything that refers to the others refers to it afterwards, and their ids
 * give it. Merging what is merged already changes nothing.
 * @param intoId the public id of the contact that stays
 * @param fromIds the public ids of the others, 1 to 20
 * @throws {BadUserInputError} if an id is malformed, or is the one of the contact itself; {@link NotFoundError};
 *   {@link ForbiddenError}
 * @throws {ConflictError} if they have more custom fields together than a contact may have
 */
export async function mergeContacts(
  viewer: Viewer,
  db: Database,
  { intoId, fromIds }: { readonly intoId: string; readonly fromIds: unknown },
  query: ContactQuery = {},
): Promise<Contact> {
  const into = parseId('Contact', intoId, ['intoId']);
  const from = parseInput(fromIdsInput, fromIds, ['fromIds']).map((id, index) => {
    const path: InputPath = ['fromIds', index];
    const row = parseId('Contact', id, path);
    if (row === into) throw badInput(path, 'is the contact itself: it cannot be merged into itself');
    return row;
  });
  return db.$transaction(async (transaction) => {
    const contacts = await lockContacts(viewer, transaction, [into, ...from]);
    const [target, ...others] = contacts;
    if (target === undefined) throw new Error('A merge has a target.');
    const merged = others.filter(({ id }) => id !== target.id);
    if (merged.length > 0) await merge(viewer, transaction, target, merged);
    return transaction.contact.findUniqueOrThrow({ where: { id: target.id, tenantId: viewer.tenantId }, ...query });
  });
}

/**
 * Locks contacts against new references, and the tenant against every other merge: in a circle, they would wait for one
 * another.
 * @returns each once, in the order of the ids; in place of one that was merged, the one into which it was merged
 */
async function lockContacts(viewer: Viewer, db: Db, ids: readonly string[]): Promise<Contact[]> {
  const { tenantId } = viewer;
  await lockMerges(viewer, db);
  const found = await db.contact.findMany({
    where: { tenantId, id: { in: [...ids] } },
    select: { id: true, mergedIntoId: true },
  });
  const roots = new Map(found.map(({ id, mergedIntoId }) => [id, mergedIntoId ?? id]));
  const wanted: string[] = [];
  for (const id of ids) {
    const root = roots.get(id);
    if (root === undefined) throw await explainMissingContact(viewer, db, id);
    if (!wanted.includes(root)) wanted.push(root);
  }
  await db.$queryRaw`
    SELECT id FROM contacts WHERE tenant_id = ${tenantId} AND id = ANY(${wanted}::uuid[]) ORDER BY id FOR UPDATE`;
  const locked = await db.contact.findMany({ where: { tenantId, id: { in: wanted } } });
  return wanted.flatMap((id) => locked.find((contact) => contact.id === id) ?? []);
}

async function merge({ tenantId }: Viewer, db: Db, target: Contact, merged: readonly Contact[]): Promise<void> {
  const values = joinValues([target, ...merged]);
  const ids = merged.map(({ id }) => id);
  // The others first: the target may get an e-mail address that one of them has until then.
  await db.$executeRaw`
    UPDATE contacts SET name = NULL, email = NULL, email_key = NULL, phone = NULL, notes = NULL, fields = '{}',
      merged_into_id = ${target.id}::uuid, updated_at = now()
    WHERE tenant_id = ${tenantId} AND (id = ANY(${ids}::uuid[]) OR merged_into_id = ANY(${ids}::uuid[]))`;
  for (const reference of contactReferences) {
    await db.$executeRaw`
      UPDATE ${tableOf(reference)} SET contact_id = ${target.id}::uuid
      WHERE tenant_id = ${tenantId} AND contact_id = ANY(${ids}::uuid[])`;
  }
  const { name, email, emailKey, phone, notes, fields } = values;
  await db.$executeRaw`
    UPDATE contacts SET name = ${name}, email = ${email}, email_key = ${emailKey}, phone = ${phone}, notes = ${notes},
      fields = ${fields}::jsonb, updated_at = now()
    WHERE id = ${target.id}::uuid AND tenant_id = ${tenantId}`;
}

/** The first value of each; custom fields by their names. @throws {ConflictError} if there are too many fields */
function joinValues(contacts: readonly Contact[]) {
  const first = <Key extends 'name' | 'phone' | 'notes'>(key: Key) =>
    contacts.map((contact) => contact[key]).find((value) => value !== null) ?? null;
  const withEmail = contacts.find(({ email }) => email !== null);
  const fields = new Map<string, unknown>();
  for (const { fields: own } of contacts) {
    if (!isFields(own)) continue;
    for (const [name, value] of Object.entries(own)) {
      if ((fields.get(name) ?? null) === null) fields.set(name, value);
    }
  }
  // A `__proto__` among the names becomes a field like any other.
  const joined = JSON.stringify(Object.fromEntries(fields));
  if (fields.size > maxFields || joined.length > maxFieldsLength) {
    const id = formatId('Contact', contacts[0]?.id ?? '');
    throw new ConflictError(
      `Together the contacts have too many custom fields: at most ${maxFields} with ${maxFieldsLength.toLocaleString('en-US')} characters as JSON. Remove some first.`,
      { contactId: id },
    );
  }
  return {
    name: first('name'),
    phone: first('phone'),
    notes: first('notes'),
    email: withEmail?.email ?? null,
    emailKey: withEmail?.emailKey ?? null,
    fields: joined,
  };
}
