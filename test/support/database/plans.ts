import type { OpenDatabase } from '../../../src/database/client.ts';
import type { Statement } from '../../../src/database/statements.ts';

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly Plan[];
}

/** How a statement finds its rows: the tables that it reads from their beginning to their end, and the indexes that it uses. */
export async function explainReads(
  database: OpenDatabase,
  { sql, args }: Statement,
): Promise<{ readonly scanned: string[]; readonly indexes: string[] }> {
  const { rows } = await database.query(`EXPLAIN (FORMAT JSON) ${sql}`, args);
  const [explained] = rows;
  if (!isExplained(explained)) throw new Error('There is no plan.');
  const nodes = listNodes(explained['QUERY PLAN'][0].Plan);
  const scanned = nodes.flatMap((node) => (node['Node Type'] === 'Seq Scan' ? (node['Relation Name'] ?? []) : []));
  return { scanned, indexes: nodes.flatMap((node) => node['Index Name'] ?? []) };
}

function isExplained(row: unknown): row is { readonly 'QUERY PLAN': readonly [{ readonly Plan: Plan }] } {
  return typeof row === 'object' && row !== null && 'QUERY PLAN' in row;
}

function listNodes(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(listNodes)];
}
