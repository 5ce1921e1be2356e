import type { Database } from '../../../src/database/client.ts';

/** All that a database holds, as text: each row of each table. */
export async function dumpDatabase({ db }: { readonly db: Database }): Promise<string> {
  const tables = await db.$queryRaw<{ name: string }[]>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`;
  const rows = await Promise.all(
    tables.map(({ name }) => db.$queryRawUnsafe<{ row: string }[]>(`SELECT t::text AS row FROM "${name}" AS t`)),
  );
  return rows.flatMap((table) => table.map(({ row }) => row)).join('\n');
}
