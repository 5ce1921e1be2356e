import { parseInput, text } from '../api/input.ts';
import {
  buildConnection,
  type Connection,
  type PageArgs,
  type PageRules,
  pageSizes,
  parsePage,
} from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../database/keyset.ts';
import { type Contact, Prisma } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';
import { type DefaultCountry, normalizePhone } from './phone.ts';
import type { ContactQuery } from './read.ts';

const searchInput = text(1, 200).nullable();
const byAge = timeColumn(Prisma.sql`created_at`);
const rules: PageRules<RowKey> = { list: 'contacts', key: byAge.key, ...pageSizes };
const bytes = Prisma.sql`coalesce(octet_length(notes), 0) + octet_length(fields::text)`;

/** What is searched, as the trigram index has it. */
const searched = Prisma.sql`lower(coalesce(name, '') || ' ' || coalesce(email, '') || ' ' || coalesce(phone, ''))`;

/** The arguments of the list of contacts. */
export type ContactListOptions = PageArgs & {
  /** A part of the name, of the e-mail address or of the telephone number; case does not matter. */
  readonly search?: string | null | undefined;
};

/**
 * A page of the contacts of the viewer's tenant, the newest first. Two statements, and one more for totalCount.
 * @throws {BadUserInputError} if a page argument or the search is invalid
 */
export async function listContacts(
  viewer: Viewer,
  { db, answer }: SizedReads,
  defaultCountry: DefaultCountry,
  options: ContactListOptions,
  query: ContactQuery = {},
): Promise<Connection<Contact>> {
  const { tenantId } = viewer;
  const page = parsePage(options, rules);
  const search = parseInput(searchInput, options.search ?? null, ['search']);
  const where = search === null ? ofTenant(viewer) : matching(viewer, search, defaultCountry);
  const list = { table: Prisma.sql`contacts`, where, sort: byAge, descending: true, bytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.contact.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), () => countContacts(db, where));
}

/**
 * The newest contacts of the viewer's tenant that a text matches.
 * @param search a part of the name, of the e-mail address or of the telephone number, 1 to 200 characters
 * @param max how many at most
 */
export async function findContacts(
  viewer: Viewer,
  db: Db,
  { search, defaultCountry, max }: { search: string; defaultCountry: DefaultCountry; max: number },
): Promise<Contact[]> {
  const found = await db.$queryRaw<{ readonly id: string }[]>`
    SELECT id FROM contacts WHERE ${matching(viewer, search, defaultCountry)} ORDER BY created_at DESC, id DESC LIMIT ${max}`;
  const ids = found.map(({ id }) => id);
  const rows = await db.contact.findMany({ where: { tenantId: viewer.tenantId, id: { in: ids } } });
  return ids.flatMap((id) => rows.find((row) => row.id === id) ?? []);
}

function ofTenant({ tenantId }: Viewer): Prisma.Sql {
  return Prisma.sql`tenant_id = ${tenantId} AND merged_into_id IS NULL`;
}

/** A telephone number is found however it is written. */
function matching(viewer: Viewer, search: string, defaultCountry: DefaultCountry): Prisma.Sql {
  const pattern = `%${search.trim().replace(/[\\%_]/g, '\\$&')}%`;
  const phone = normalizePhone(search.trim(), defaultCountry);
  const ofPhone = phone === null ? Prisma.empty : Prisma.sql`OR phone = ${phone}`;
  return Prisma.sql`${ofTenant(viewer)} AND (${searched} LIKE lower(${pattern}) ${ofPhone})`;
}

async function countContacts(db: Db, where: Prisma.Sql): Promise<number> {
  const [counted] = await db.$queryRaw<{ readonly count: number }[]>`
    SELECT count(*)::integer AS count FROM contacts WHERE ${where}`;
  return counted?.count ?? 0;
}
