import { expect, test } from 'vitest';
import { type ContactListOptions, findContacts, listContacts } from '../../src/contacts/list.ts';
import { type Database, openDatabase } from '../../src/database/client.ts';
import type { Statement } from '../../src/database/statements.ts';
import { AnswerBudget } from '../../src/limits/answer-budget.ts';
import { openAnswers, openGraph } from '../support/app.ts';
import { explainReads } from '../support/database/plans.ts';

/** Tenants, and the contacts of each: enough for the planner to think of indexes. */
const tenants = 8;
const contactsOfEach = 1_500;

/** Adds contacts of several tenants. A tenth of them were merged into the first of their tenant. */
async function fill(db: Database) {
  await db.$executeRaw`
    INSERT INTO tenants (id) SELECT 'filled-' || t FROM generate_series(1, ${tenants}::int) AS t ON CONFLICT DO NOTHING`;
  await db.$executeRaw`
    INSERT INTO contacts (id, tenant_id, name, email, email_key, phone, notes, merged_into_id, created_at)
    SELECT overlay(md5(t || '-' || n) PLACING '4111a' FROM 13)::uuid, 'filled-' || t, name, mail, mail, phone, note, target, now() - make_interval(mins => n)
    FROM generate_series(1, ${tenants}::int) AS t, generate_series(0, ${contactsOfEach}::int) AS n, LATERAL (
      SELECT
        CASE WHEN n % 10 = 9 THEN overlay(md5(t || '-0') PLACING '4111a' FROM 13)::uuid END AS target,
        CASE WHEN n % 10 <> 9 THEN initcap(substr(md5('first' || n), 1, 6)) || ' ' || initcap(substr(md5('last' || n), 1, 8)) END AS name,
        CASE WHEN n % 10 <> 9 THEN substr(md5('mail' || n), 1, 9) || '@example.com' END AS mail,
        CASE WHEN n % 10 <> 9 THEN '+4930' || (1000000 + n) END AS phone,
        CASE WHEN n % 10 <> 9 THEN repeat(md5('note' || n), 8) END AS note) AS made`;
  await db.$executeRawUnsafe('VACUUM (ANALYZE) contacts');
}

test('Every statement of the list, the search and the count of contacts reads them by index', async () => {
  await using graph = await openGraph();
  await fill(graph.db);
  const statements: Statement[] = [];
  const onQuery = (statement: Statement) => void statements.push(statement);
  await using watched = openDatabase({ url: graph.databaseUrl, poolSize: 2, onQuery });
  const viewer = await graph.viewer('alice', 'filled-3');
  const list = (options: ContactListOptions) => {
    const answer = new AnswerBudget(openAnswers(), viewer);
    return listContacts(viewer, { db: watched.db, answer }, 'DE', options);
  };
  const someone = await graph.db.contact.findFirstOrThrow({ where: { tenantId: 'filled-3', phone: '+49301000042' } });

  /** Carries work out, and explains each of its statements. @returns how many there were, and the indexes that they use */
  const explain = async (what: string, work: () => Promise<unknown>) => {
    statements.length = 0;
    await work();
    const asked = [...statements];
    const indexes: string[] = [];
    for (const statement of asked) {
      const reads = await explainReads(watched, statement);
      expect(reads.scanned, `${what}: ${statement.sql}`).toEqual([]);
      indexes.push(...reads.indexes);
    }
    return { count: asked.length, indexes };
  };
  // A name, its beginning, an e-mail address, a telephone number in two ways, what nobody has, too short for a trigram, and what
  // everybody has.
  const searches = [
    someone.name ?? '',
    someone.name?.slice(0, 4) ?? '',
    someone.email ?? '',
    '+49 30 1000042',
    '1000042',
    'nobody at all',
    'ab',
    'example.com',
    '100%',
  ];
  for (const search of searches) {
    const found = await findContacts(viewer, watched.db, { search, defaultCountry: 'DE', max: 5 });
    if (search !== 'nobody at all' && search !== '100%') expect(found.length, search).toBeGreaterThan(0);
    await explain(`find ${search}`, () => findContacts(viewer, watched.db, { search, defaultCountry: 'DE', max: 5 }));
    await explain(`list ${search}`, () => list({ search, first: 20 }));
    await explain(`count ${search}`, async () => (await list({ search, first: 1 })).totalCount());
  }

  // What few have is found by its trigrams, whether it is listed or counted.
  for (const search of [someone.email ?? '', 'nobody at all', '1000042']) {
    const find = () => findContacts(viewer, watched.db, { search, defaultCountry: 'DE', max: 5 });
    expect((await explain(`find ${search}`, find)).indexes, search).toContain('contacts_search_idx');
    const count = async () => (await list({ search, first: 1 })).totalCount();
    expect((await explain(`count ${search}`, count)).indexes, search).toContain('contacts_search_idx');
  }

  const first = await list({ first: 20 });
  const after = first.pageInfo.endCursor;
  expect(first.edges.length).toBe(20);
  expect((await explain('the first page', () => list({ first: 20 }))).count).toBe(2);
  expect((await explain('the next page', () => list({ first: 20, after }))).count).toBe(2);
  expect((await explain('the last page', () => list({ last: 20 }))).count).toBe(2);
  await explain('the count', async () => (await list({ first: 1 })).totalCount());
});
