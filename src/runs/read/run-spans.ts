import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { ToolCall } from '../../generated/prisma/client.ts';

/** What was at work in a run, or what it waited for. */
export interface RunSpan {
  readonly kind: 'MODEL' | 'TOOL' | 'APPROVAL';
  /** The model, or the tool. */
  readonly name: string;
  /** The row id; null: of no agent. */
  readonly agentId: string | null;
  readonly startedAt: Date;
  /** Null: it goes on. */
  readonly finishedAt: Date | null;
  /** Of a tool call; null for a model. */
  readonly toolStatus: ToolCall['status'] | null;
  /** Of a model call; null for a tool, and if the model reported none. */
  readonly tokens: number | null;
}

/** How many model calls, and how many tool calls, of a run are shown: the first ones. */
export const maxSpans = 200;

interface ModelRow {
  readonly runId: string;
  readonly id: string;
  readonly model: string;
  readonly agentId: string | null;
  readonly tokens: number | null;
  readonly durationMs: number;
  readonly createdAt: Date;
}

interface ToolRow {
  readonly runId: string;
  readonly id: string;
  readonly name: string;
  readonly agentId: string | null;
  readonly status: ToolCall['status'];
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly wasAsked: boolean;
}

/**
 * What was at work in runs of the tenant, and when: no arguments, results or texts. Two statements for any number of runs.
 * @param runIds row ids
 * @returns in the order of the ids; the spans of each in the order of their beginning
 */
export async function readRunSpans({ tenantId }: Viewer, db: Db, runIds: readonly string[]): Promise<RunSpan[][]> {
  const models = await db.$queryRaw<ModelRow[]>`
    SELECT r.id AS "runId", c.* FROM unnest(${[...runIds]}::uuid[]) AS r (id), LATERAL (
      SELECT id, model, agent_id AS "agentId", CASE WHEN complete THEN input_tokens::float8 + output_tokens END AS tokens,
        duration_ms AS "durationMs", created_at AS "createdAt"
      FROM model_calls WHERE run_id = r.id AND tenant_id = ${tenantId} ORDER BY model_calls.id LIMIT ${maxSpans}
    ) AS c`;
  const tools = await db.$queryRaw<ToolRow[]>`
    SELECT r.id AS "runId", c.* FROM unnest(${[...runIds]}::uuid[]) AS r (id), LATERAL (
      SELECT row_id AS id, name, agent_id AS "agentId", status, started_at AS "startedAt", finished_at AS "finishedAt",
        approval_expires_at IS NOT NULL AS "wasAsked"
      FROM tool_calls WHERE run_id = r.id AND tenant_id = ${tenantId} ORDER BY step, index LIMIT ${maxSpans}
    ) AS c`;
  const ofRuns = new Map<string, RunSpan[]>(runIds.map((id) => [id, []]));
  for (const row of models) ofRuns.get(row.runId)?.push(readModel(row));
  for (const row of tools) ofRuns.get(row.runId)?.push(...readTool(row));
  return runIds.map((id) => (ofRuns.get(id) ?? []).sort(compareSpans));
}

/** A call is asked for before anything else of its step begins, also within a millisecond. */
function compareSpans(one: RunSpan, other: RunSpan): number {
  const later = one.startedAt.getTime() - other.startedAt.getTime();
  return later || Number(other.kind === 'APPROVAL') - Number(one.kind === 'APPROVAL');
}

function readModel({ id, model, agentId, tokens, durationMs, createdAt }: ModelRow): RunSpan {
  // The row may have been written a while after the call.
  const finishedAt = timeOf(id) ?? createdAt;
  const startedAt = new Date(finishedAt.getTime() - durationMs);
  return { kind: 'MODEL', name: model, agentId, startedAt, finishedAt, toolStatus: null, tokens };
}

/** The call, and the wait for the decision on it. */
function readTool({ id, name, agentId, status, startedAt, finishedAt, wasAsked }: ToolRow): RunSpan[] {
  const common = { name, agentId, toolStatus: status, tokens: null };
  const askedAt = wasAsked ? timeOf(id) : null;
  const spans: RunSpan[] = [];
  if (askedAt !== null)
    spans.push({ ...common, kind: 'APPROVAL', startedAt: askedAt, finishedAt: startedAt ?? finishedAt });
  // A call that was denied, or never began, has only an end.
  const begun = startedAt ?? (wasAsked ? null : finishedAt);
  if (begun !== null) spans.push({ ...common, kind: 'TOOL', startedAt: begun, finishedAt });
  return spans;
}

/** When an id was made (UUID, version 7); null: it does not say. */
function timeOf(id: string): Date | null {
  return id[14] === '7' ? new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)) : null;
}
