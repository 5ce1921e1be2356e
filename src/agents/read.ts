import { NotFoundError } from '../api/errors.ts';
import { parseId } from '../api/ids.ts';
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
import { type Agent, Prisma } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import { fitPage } from '../limits/fit-page.ts';
import { isReadable } from '../projects/access.ts';
import { hideForeign } from './hide-foreign.ts';
import { defaultAgentFirst, explainMissingAgent, visibleAgents } from './visible.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface AgentQuery {
  readonly include?: Prisma.AgentInclude;
}

const byAge = timeColumn(Prisma.sql`created_at`);
const rules: PageRules<RowKey> = { list: 'agents', key: byAge.key, ...pageSizes };

/**
 * Reads one agent that the viewer may see.
 * @param id the public id
 * @throws {BadUserInputError} if the id is not an agent id
 * @throws {NotFoundError} if the agent does not exist or was deleted
 * @throws {ForbiddenError} if it is another user's or another tenant's
 */
export async function readAgent(viewer: Viewer, db: Db, id: string, query: AgentQuery = {}): Promise<Agent> {
  const agentId = parseId('Agent', id, ['id']);
  const agent = await db.agent.findUnique({ where: { ...visibleAgents(viewer), id: agentId }, ...query });
  if (agent === null) throw await explainMissingAgent(viewer, db, agentId);
  return agent;
}

/** Agents of so many bytes together are read before their size is known. */
const smallBytes = 1024 * 1024;

/**
 * Reads agents of the tenant that rows refer to, deleted ones included. One statement if they are small, else three; one more if they
 * belong to projects: of those that the viewer has left, only the names are returned.
 * @param ids row ids
 * @returns in the order of the ids; null: it does not exist. An error if the answer cannot hold it as well
 * @throws {RateLimitedError} if too many large answers are under way
 */
export async function readAgentsById(
  viewer: Viewer,
  { db, answer }: SizedReads,
  ids: readonly string[],
): Promise<(Agent | Error | null)[]> {
  const { tenantId } = viewer;
  const maxBytes = Math.floor(Math.min(smallBytes, answer.remaining) / ids.length);
  const small = await db.agent.findMany({ where: { tenantId, id: { in: [...ids] }, bytes: { lte: maxBytes } } });
  await answer.take(small.reduce((sum, { bytes }) => sum + bytes, 0));
  const found = new Map<string, Agent | Error>(small.map((agent) => [agent.id, agent]));
  const missing = ids.filter((id) => !found.has(id));
  const measured =
    missing.length === 0
      ? []
      : await db.agent.findMany({ where: { tenantId, id: { in: missing } }, select: { id: true, bytes: true } });
  const fitting: string[] = [];
  let needed = 0;
  for (const { id, bytes } of measured) {
    if (needed + bytes > answer.remaining) found.set(id, answer.tooLarge());
    else {
      fitting.push(id);
      needed += bytes;
    }
  }
  if (fitting.length > 0) {
    await answer.take(needed);
    for (const agent of await db.agent.findMany({ where: { tenantId, id: { in: fitting } } }))
      found.set(agent.id, agent);
  }
  const loaded = [...found.values()].flatMap((agent) => (agent instanceof Error ? [] : [agent]));
  for (const agent of await hideForeign(viewer, db, loaded)) found.set(agent.id, agent);
  return ids.map((id) => found.get(id) ?? null);
}

/**
 * Reads the default agent, which answers if no other agent was chosen: the viewer's own default, else the tenant's, else
 * the development agent.
 * @throws {NotFoundError} if none of them exists and is active
 */
export async function readCurrentAgent(viewer: Viewer, db: Db, query: AgentQuery = {}): Promise<Agent> {
  const agent = await db.agent.findFirst({ ...defaultAgentFirst(viewer), ...query });
  if (agent === null) {
    throw new NotFoundError(
      'There is no active default agent: neither you nor your tenant has one, and there is no development agent.',
    );
  }
  return agent;
}

/**
 * Reads which agent is the default agent, as `readCurrentAgent` does, from the database and not from the cache.
 * @returns its row id; null: there is none
 */
export async function readDefaultAgentId(viewer: Viewer, db: Db): Promise<string | null> {
  const [agent] = await db.$queryRaw<{ id: string }[]>`${selectDefaultAgentId(viewer)}`;
  return agent?.id ?? null;
}

/** The statement of `readDefaultAgentId`, for a larger one. */
export function selectDefaultAgentId({ tenantId, userId }: Viewer): Prisma.Sql {
  return Prisma.sql`SELECT id FROM agents
    WHERE tenant_id = ${tenantId} AND (owner_id IS NULL OR owner_id = ${userId}) AND deleted_at IS NULL
      AND is_active AND (is_default OR is_development)
    ORDER BY is_default DESC, owner_id ASC NULLS LAST LIMIT 1`;
}

/**
 * A page of the agents that the viewer may use, oldest first.
 * @param options.includeInactive whether to include inactive agents
 * @throws {BadUserInputError} if a page argument is invalid; as `fitPage` does
 */
export async function listAgents(
  viewer: Viewer,
  { db, answer }: SizedReads,
  options: PageArgs & { readonly includeInactive?: boolean | null | undefined },
  query: AgentQuery = {},
): Promise<Connection<Agent>> {
  const page = parsePage(options, rules);
  const { tenantId, userId } = viewer;
  const where = Prisma.sql`tenant_id = ${tenantId} AND deleted_at IS NULL AND (owner_id IS NULL OR owner_id = ${userId})
    AND ${isReadable(viewer, Prisma.sql`project_id`)} AND (is_active OR ${options.includeInactive === true})`;
  const list = { table: Prisma.sql`agents`, where, sort: byAge, descending: false, bytes: Prisma.sql`bytes` };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows =
    ids.length === 0
      ? []
      : await db.agent.findMany({ where: { tenantId, deletedAt: null, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), async () => {
    const [counted] = await db.$queryRaw<{ count: number }[]>`
      SELECT count(*)::integer AS count FROM agents WHERE ${where}`;
    return counted?.count ?? 0;
  });
}
