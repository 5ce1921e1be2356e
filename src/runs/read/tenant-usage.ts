import { createHash } from 'node:crypto';
import { z } from 'zod';
import { assertMayFilterBy } from '../../agents/visible.ts';
import { parseId } from '../../api/ids.ts';
import { badInput, parseInput, text } from '../../api/input.ts';
import { buildConnection, type Connection, type Page, type PageArgs, parsePage, trimPage } from '../../api/paging.ts';
import { assertTimeZone, type Day, listDays } from '../../api/time-zone.ts';
import { requireAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import { FairQueue } from '../../limits/fair-queue.ts';

/** What usage can be divided by. */
type UsageDimension = 'DAY' | 'AGENT' | 'USER' | 'MODEL';

/** How many rows a page of usage has: they are small. */
export const usagePageSizes = { defaultSize: 100, maxSize: 500 } as const;

/** The longest range, in days of 24 hours. */
const maxDays = 366;
const dayMs = 24 * 3_600_000;
/** Calendars of earlier times have surprises, and no tokens. */
const firstMoment = Date.UTC(2000, 0, 1);

/**
 * What each day of the range adds to the cost of an operation, on each page and under each alias: its calls are read for
 * it, however few rows are asked for. Two pages of the longest range fit into one operation, and no third.
 */
export const costPerDay = 25;

/**
 * The sums of a tenant that are made here at the same time: each reads a whole range, and holds a connection meanwhile.
 * As many as the aliases of one operation wait.
 */
const summing = new FairQueue('sums of the usage of your organisation', { running: 2, waiting: 30 });

/** Which usage of a tenant is asked for. */
export type TenantUsageArgs = PageArgs & {
  readonly from: Date;
  readonly to?: Date | null | undefined;
  readonly by: readonly UsageDimension[];
  readonly timeZone?: string | null | undefined;
  readonly orderBy?: 'KEY' | 'TOKENS' | null | undefined;
  readonly agentId?: string | null | undefined;
  readonly userId?: string | null | undefined;
};

/** Tokens and model calls of many users, as whole numbers: more than 32 bits can hold. */
export interface UsageTotals {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly cacheWriteInputTokens: number;
  readonly reasoningTokens: number;
  readonly modelCalls: number;
  /** Model calls that reported no usage. */
  readonly unreportedCalls: number;
}

/** What one day, agent, user or model used, or a combination of them. Null: usage is not divided by it. */
export interface UsageRow extends UsageTotals {
  readonly day: string | null;
  /** The row id; null also for calls of no agent. */
  readonly agentId: string | null;
  readonly userId: string | null;
  readonly model: string | null;
}

/** A page of usage, with the sums of all pages. */
export interface TenantUsage extends Connection<UsageRow> {
  readonly totals: UsageTotals;
}

/** The end of the range as the first page has it, and where the row stands. */
type UsageKey = readonly [until: string, rank: number, day: number, agent: string, user: string, model: string];

const storable = z.string().refine((value) => value.isWellFormed() && !value.includes('\u0000'));
const usageKey: z.ZodType<UsageKey> = z.tuple([
  z.iso.datetime(),
  z.number().max(0),
  z.int32(),
  storable,
  storable,
  storable,
]);

/** What the rows of the ledger have that is summed up. */
const sums = Prisma.sql`sum(input_tokens)::float8 AS "inputTokens", sum(output_tokens)::float8 AS "outputTokens",
  sum(cached_input_tokens)::float8 AS "cachedInputTokens", sum(cache_write_input_tokens)::float8 AS "cacheWriteInputTokens",
  sum(reasoning_tokens)::float8 AS "reasoningTokens", count(*)::float8 AS "modelCalls",
  (count(*) FILTER (WHERE NOT complete))::float8 AS "unreportedCalls"`;

/** The sums of the sums. */
const totals = Prisma.join(
  [
    'inputTokens',
    'outputTokens',
    'cachedInputTokens',
    'cacheWriteInputTokens',
    'reasoningTokens',
    'modelCalls',
    'unreportedCalls',
  ].map((name) => Prisma.raw(`coalesce(sum("${name}"), 0)::float8 AS "${name}"`)),
);

const filters = z.object({ userId: text(1, 255).nullish(), timeZone: text(1, 100).nullish() });

/**
 * The usage of the tenant, summed up over the model calls of a range, for its admins. One statement, which reads the calls
 * of the range by an index; one more for an agent in the filter. Later pages count up to the same moment as the first one.
 * Two of a tenant are carried out at the same time in this process, the others wait.
 * @throws {BadUserInputError} if an argument is invalid; {@link ForbiddenError} unless the viewer is an admin;
 *   {@link ForbiddenError} {@link NotFoundError} for the agent in the filter; {@link RateLimitedError} if too many wait
 */
export async function readTenantUsage(viewer: Viewer, db: Db, args: TenantUsageArgs): Promise<TenantUsage> {
  const { userId, timeZone: zone } = parseInput(filters, { userId: args.userId, timeZone: args.timeZone }, []);
  const timeZone = zone ?? 'UTC';
  assertTimeZone(timeZone, ['timeZone']);
  const by = parseDimensions(args.by);
  const isByTokens = args.orderBy === 'TOKENS';
  const agentId = args.agentId == null ? null : parseId('Agent', args.agentId, ['agentId']);
  const { from, to = null } = args;
  const question = JSON.stringify([from, to, [...by].sort(), timeZone, isByTokens, agentId, userId ?? null]);
  const list = `usage ${createHash('sha256').update(question).digest('base64url')}`;
  const page = parsePage(args, { list, key: usageKey, ...usagePageSizes });
  const until = findEnd(to, page);
  if (from.getTime() < firstMoment) throw badInput(['from'], 'must be in the year 2000 or later');
  if (until <= from) throw badInput(['from'], 'must be before to, and in the past');
  if (until.getTime() - from.getTime() > maxDays * dayMs)
    throw badInput(['from'], `must be at most ${maxDays} days before to, or before now if that comes first`);
  requireAdmin(viewer, 'see the usage of the tenant');
  if (agentId !== null) await assertMayFilterBy(viewer, db, agentId);

  const days = by.has('DAY') ? listDays(from, until, timeZone) : [];
  const calls = Prisma.sql`SELECT *, ${by.has('DAY') ? dayOf(days) : Prisma.sql`0`} AS day_number,
      ${by.has('AGENT') ? Prisma.sql`coalesce(agent_id::text, '')` : Prisma.sql`''::text`} AS agent_key,
      ${by.has('USER') ? Prisma.sql`user_id` : Prisma.sql`''::text`} AS user_key,
      ${by.has('MODEL') ? Prisma.sql`model` : Prisma.sql`''::text`} AS model_key
    FROM model_calls
    WHERE tenant_id = ${viewer.tenantId} AND created_at >= ${from} AND created_at < ${until}
      ${userId == null ? Prisma.empty : Prisma.sql`AND user_id = ${userId}`}
      ${agentId === null ? Prisma.empty : Prisma.sql`AND agent_id = ${agentId}::uuid`}`;
  const rank = isByTokens ? Prisma.sql`-(sum(input_tokens) + sum(output_tokens))::float8` : Prisma.sql`0::float8`;
  const groups = Prisma.sql`SELECT ${rank} AS rank, day_number, agent_key, user_key, model_key, ${sums}
    FROM (${calls}) AS calls GROUP BY day_number, agent_key, user_key, model_key`;
  const found = await summing.run(viewer.tenantId, () => readGroups(db, groups, page));
  const rows = found.groups.map((group): { readonly key: UsageKey; readonly node: UsageRow } => ({
    key: [until.toISOString(), group.rank, group.day_number, group.agent_key, group.user_key, group.model_key],
    node: readGroup(group, by, days),
  }));
  const connection = buildConnection(page, trimPage(page, { ...found, rows }), () => found.count);
  return { ...connection, totals: found.totals };
}

/** How many days a page reads, from 1 to the most that a range can have: what is beyond that is refused later. */
export function countUsageDays({ from, to }: Pick<TenantUsageArgs, 'from' | 'to'>): number {
  const end = Math.min(Date.now(), to?.getTime() ?? Infinity);
  return Math.min(Math.max(1, Math.ceil((end - from.getTime()) / dayMs)), maxDays);
}

/** The future has no usage: what is counted up to now can be paged, since nothing comes to it. */
function findEnd(to: Date | null, { after, before }: Page<UsageKey>): Date {
  const first = after?.[0] ?? before?.[0];
  const ends = [
    Date.now(),
    ...(to === null ? [] : [to.getTime()]),
    ...(first === undefined ? [] : [Date.parse(first)]),
  ];
  return new Date(Math.min(...ends));
}

function parseDimensions(by: readonly UsageDimension[]): ReadonlySet<UsageDimension> {
  const dimensions = new Set(by);
  if (dimensions.size === 0 || dimensions.size < by.length)
    throw badInput(['by'], 'must name 1 to 4 dimensions, each once');
  return dimensions;
}

/** The number of the day of a model call, from 1. */
function dayOf(days: readonly Day[]): Prisma.Sql {
  const starts = days.map(({ start }) => new Date(start).toISOString());
  return Prisma.sql`width_bucket(created_at, ${starts}::timestamptz[])`;
}

interface Group extends UsageTotals {
  readonly rank: number;
  readonly day_number: number;
  readonly agent_key: string;
  readonly user_key: string;
  readonly model_key: string;
}

type FoundRow = { readonly ends: Ends } & (Group | { readonly rank: null });

interface Ends extends UsageTotals {
  readonly count: number;
  readonly moreBefore: boolean;
  readonly moreAfter: boolean;
}

/** Reads the groups of a page, in list order, and how all of them sum up. */
async function readGroups(db: Db, groups: Prisma.Sql, page: Page<UsageKey>) {
  const columns = Prisma.sql`(rank, day_number, agent_key, user_key, model_key)`;
  const compare = (operator: string, [, rank, day, agent, user, model]: UsageKey) =>
    Prisma.sql`${columns} ${Prisma.raw(operator)} (${rank}::float8, ${day}::int, ${agent}::text, ${user}::text, ${model}::text)`;
  const { after, before, backward } = page;
  const range = [
    Prisma.sql`true`,
    ...(after === null ? [] : [compare('>', after)]),
    ...(before === null ? [] : [compare('<', before)]),
  ];
  const direction = Prisma.raw(backward ? 'DESC' : 'ASC');
  const order = Prisma.sql`rank ${direction}, day_number ${direction}, agent_key ${direction}, user_key ${direction}, model_key ${direction}`;
  const reaches = (operator: string, key: UsageKey | null) =>
    key === null ? Prisma.sql`false` : Prisma.sql`coalesce(bool_or(${compare(operator, key)}), false)`;
  const rows = await db.$queryRaw<FoundRow[]>`
    WITH used AS MATERIALIZED (${groups}), ends AS (
      SELECT count(*)::int AS count, ${totals}, ${reaches('<=', after)} AS "moreBefore", ${reaches('>=', before)} AS "moreAfter"
      FROM used
    )
    SELECT to_json(ends) AS ends, page.* FROM ends LEFT JOIN (
      SELECT * FROM used WHERE ${Prisma.join(range, ' AND ')} ORDER BY ${order} LIMIT ${page.size + 1}
    ) AS page ON true ORDER BY ${order}`;
  const [first] = rows;
  if (first === undefined) throw new Error('The sums of the usage are missing.');
  const { count, moreBefore, moreAfter, ...all } = first.ends;
  const ofPage = rows.filter((row): row is Group & { readonly ends: Ends } => row.rank !== null);
  if (backward) ofPage.reverse();
  return { groups: ofPage, count, totals: all, moreBefore, moreAfter };
}

function readGroup(group: Group, by: ReadonlySet<UsageDimension>, days: readonly Day[]): UsageRow {
  const { day_number, agent_key, user_key, model_key, rank: _rank, ...counts } = group;
  return {
    ...counts,
    day: days[day_number - 1]?.name ?? null,
    agentId: agent_key || null,
    userId: by.has('USER') ? user_key : null,
    model: by.has('MODEL') ? model_key : null,
  };
}
