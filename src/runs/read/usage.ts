import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';

/** Tokens summed over model calls. The last three counts are parts of the totals. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly cacheWriteInputTokens: number;
  readonly reasoningTokens: number;
  readonly modelCalls: number;
  /** Whether every model call reported its usage. */
  readonly complete: boolean;
}

const counts = {
  inputTokens: true,
  outputTokens: true,
  cachedInputTokens: true,
  cacheWriteInputTokens: true,
  reasoningTokens: true,
} as const;

type Sums = Record<keyof typeof counts, number | null>;

const none: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteInputTokens: 0,
  reasoningTokens: 0,
  modelCalls: 0,
  complete: true,
};

function add(usage: Usage, group: { _sum: Sums; _count: { _all: number }; complete: boolean }): Usage {
  return {
    inputTokens: usage.inputTokens + (group._sum.inputTokens ?? 0),
    outputTokens: usage.outputTokens + (group._sum.outputTokens ?? 0),
    cachedInputTokens: usage.cachedInputTokens + (group._sum.cachedInputTokens ?? 0),
    cacheWriteInputTokens: usage.cacheWriteInputTokens + (group._sum.cacheWriteInputTokens ?? 0),
    reasoningTokens: usage.reasoningTokens + (group._sum.reasoningTokens ?? 0),
    modelCalls: usage.modelCalls + group._count._all,
    complete: usage.complete && group.complete,
  };
}

/** The usage of runs, by their row ids, in one statement. */
export async function sumRunUsage(viewer: Viewer, db: Db, runIds: readonly string[]): Promise<Usage[]> {
  const groups = await db.modelCall.groupBy({
    by: ['runId', 'complete'],
    where: { tenantId: viewer.tenantId, runId: { in: [...runIds] } },
    _sum: counts,
    _count: { _all: true },
  });
  return runIds.map((id) => groups.filter((group) => group.runId === id).reduce(add, none));
}

/** The usage of conversations, by their row ids, in one statement. */
export async function sumConversationUsage(
  viewer: Viewer,
  db: Db,
  conversationIds: readonly string[],
): Promise<Usage[]> {
  const groups = await db.modelCall.groupBy({
    by: ['conversationId', 'complete'],
    where: { tenantId: viewer.tenantId, conversationId: { in: [...conversationIds] } },
    _sum: counts,
    _count: { _all: true },
  });
  return conversationIds.map((id) => groups.filter((group) => group.conversationId === id).reduce(add, none));
}

/** The viewer's own usage, of conversations that are deleted too. */
export async function sumViewerUsage(viewer: Viewer, db: Db, since: Date | null | undefined): Promise<Usage> {
  const groups = await db.modelCall.groupBy({
    by: ['complete'],
    where: { tenantId: viewer.tenantId, userId: viewer.userId, ...(since && { createdAt: { gte: since } }) },
    _sum: counts,
    _count: { _all: true },
  });
  return groups.reduce(add, none);
}
