import { randomUUIDv7 } from 'node:crypto';
import { ConflictError, RateLimitedError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import { badInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import { readContextBlock } from '../context/read.ts';
import { chooseInScenario } from '../conversations/choose-agent.ts';
import { insertConversation, noCreation } from '../conversations/create.ts';
import { switchAgent } from '../conversations/merge-messages.ts';
import { readActiveConversation } from '../conversations/read.ts';
import { untitled } from '../conversations/text.ts';
import type { Db } from '../database/client.ts';
import { isForeignKeyViolation } from '../database/errors.ts';
import { writeInstructions } from '../engine/plan.ts';
import type { Conversation, Prisma, RealtimeSession } from '../generated/prisma/client.ts';
import { mintClientSecret } from '../providers/speech/client-secret.ts';
import { realtimeSessions } from '../telemetry/metrics.ts';
import { measureRequest } from '../telemetry/provider-request.ts';
import { parseStartInput } from './input.ts';
import { realtimeLimits } from './limits.ts';
import { planSession, type SessionPlan } from './plan-session.ts';
import type { RealtimeRuntime } from './runtime.ts';

const usualTtlSeconds = 600;

/** A session in the answer that starts it. */
export interface StartedSession {
  readonly session: RealtimeSession;
  /** In this object and nowhere else: it is neither stored nor logged. */
  readonly ephemeralKey: string;
  readonly plan: SessionPlan;
}

/**
 * Starts a realtime session: mints an ephemeral key that is bound to the instructions, tools and voice of the root agent, and
 * opens a conversation for the transcript, or joins the given one. If minting fails, nothing is written.
 * @param input StartRealtimeSessionInput
 * @param clientGone aborts when the client disconnects
 * @throws {RateLimitedError} if the viewer calls it too often, or has too many sessions that have not ended
 * @throws {BadUserInputError} naming the field; also for a root agent outside of the scenario, and a conversation of another one
 * @throws {NotFoundError | ForbiddenError} for the scenario, the agent, the conversation and the snapshot
 * @throws {ConflictError} if no agent can begin, or the conversation has changed meanwhile
 * @throws {ProviderError} if the provider does not mint a key
 */
export async function startRealtimeSession(
  viewer: Viewer,
  runtime: RealtimeRuntime,
  input: unknown,
  clientGone: AbortSignal | null,
): Promise<StartedSession> {
  await runtime.limit.take(viewer);
  await runtime.runs.agents.tokenBudget.assertLeft(viewer);
  const parsed = parseStartInput(input);
  const { db, feed } = runtime.runs;
  const joined =
    parsed.conversationId == null
      ? null
      : await readActiveConversation(viewer, runtime.runs.agents, parsed.conversationId);
  const name = { key: parsed.scenarioKey, projectId: joined?.projectId ?? null };
  const chosen = await chooseInScenario(viewer, db, name, parsed.rootAgentId ?? null, ['input'], 'rootAgentId');
  const { scenarioId } = chosen;
  if (joined && joined.scenarioId !== scenarioId) {
    throw badInput(['input', 'conversationId'], 'names a conversation that is not in this scenario');
  }
  const context =
    parsed.contextSnapshotId == null
      ? null
      : await readContextBlock(viewer, db, parsed.contextSnapshotId, ['input', 'contextSnapshotId']);
  // Who was given takes over; else the agent goes on that is the active one.
  const rootAgentId = parsed.rootAgentId == null ? (joined?.activeAgentId ?? null) : chosen.activeAgentId;
  await assertBelowLimit(viewer, db);
  const plan = await planSession(viewer, runtime, { scenarioId, rootAgentId, memoriesOf: joined?.projectId ?? null });
  if (parsed.rootAgentId != null && plan.rootAgentId !== rootAgentId) {
    throw badInput(['input', 'rootAgentId'], 'names an agent that cannot be used now');
  }
  const [root] = plan.agents;
  const instructions = root?.instructions ?? '';
  const spec = {
    model: plan.model,
    instructions: writeInstructions({ instructions, ...(context !== null && { context }) }),
    voice: root?.voice ?? null,
    transcriptionModel: runtime.defaults.transcriptionModel,
    tools: plan.functions,
  };
  const ttlSeconds = parsed.ttlSeconds ?? usualTtlSeconds;
  const ttlMs = ttlSeconds * 1_000;
  const secret = await runtime.work(clientGone, (signal) =>
    measureRequest('realtime_key', signal, () =>
      mintClientSecret(plan.endpoint, spec, {
        ttlSeconds,
        dial: runtime.dialFor(plan.endpoint),
        timeoutMs: runtime.mintTimeoutMs,
        signal,
      }),
    ),
  );
  realtimeSessions.inc();
  const session = await db
    .$transaction((tx) => storeSession(tx, viewer, { scenarioId, plan, joined, expiresAt: secret.expiresAt, ttlMs }))
    .catch((error: unknown) => {
      throw isForeignKeyViolation(error) ? changedMeanwhile() : error;
    });
  feed.wake(viewer);
  const { id, conversationId } = session;
  runtime.logger.info(
    { session: formatId('RealtimeSession', id), conversation: formatId('Conversation', conversationId) },
    'started a realtime session',
  );
  return { session, ephemeralKey: secret.value, plan };
}

/**
 * @returns now, by the clock of the database
 * @throws {RateLimitedError} if the viewer has too many sessions that have not ended
 */
async function assertBelowLimit({ tenantId, userId }: Viewer, db: Db): Promise<Date> {
  const [open] = await db.$queryRaw<{ count: number; nextMs: number | null; now: Date }[]>`
    SELECT count(*)::integer AS count, (extract(epoch FROM min(ends_at) - now()) * 1000)::double precision AS "nextMs",
      now() AS now
    FROM realtime_sessions WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND ended_at IS NULL AND ends_at > now()`;
  if (open === undefined) throw new Error('A statement that counts has returned no row.');
  if (open.count < realtimeLimits.openSessions) return open.now;
  throw new RateLimitedError(
    `You have ${open.count} realtime sessions that have not ended, and that is the limit. End one with endRealtimeSession.`,
    Math.max(1_000, Math.ceil(open.nextMs ?? 0)),
  );
}

/** Writes the session and its conversation. Rows are locked in the order conversation, user: see deleteConversation. */
async function storeSession(
  tx: Prisma.TransactionClient,
  viewer: Viewer,
  from: {
    readonly scenarioId: string;
    readonly plan: SessionPlan;
    /** Null: a new one. */
    readonly joined: Conversation | null;
    readonly expiresAt: Date;
    readonly ttlMs: number;
  },
): Promise<RealtimeSession> {
  const { scenarioId, plan, joined, expiresAt, ttlMs } = from;
  const { tenantId, userId } = viewer;
  const { rootAgentId, scenarioVersion, model, agents } = plan;
  let conversationId: string;
  if (joined === null) {
    const active = { scenarioId, activeAgentId: rootAgentId, followsDefault: false };
    const row = { ...noCreation, ...active, id: randomUUIDv7(), projectId: null, title: untitled, autoTitle: true };
    conversationId = (await insertConversation(viewer, tx, row)).id;
  } else {
    conversationId = joined.id;
    const isThere = await switchAgent(tx, viewer, conversationId, { scenarioId, agentId: rootAgentId });
    if (!isThere) throw changedMeanwhile();
    await tx.$executeRaw`SELECT 1 FROM users WHERE tenant_id = ${tenantId} AND id = ${userId} FOR NO KEY UPDATE`;
  }
  // Counted again under the lock on the user's row: of two requests at the same time, the later one sees both.
  const now = await assertBelowLimit(viewer, tx);
  return tx.realtimeSession.create({
    data: {
      tenantId,
      userId,
      conversationId,
      scenarioId,
      scenarioVersion,
      rootAgentId,
      activeAgentId: rootAgentId,
      model,
      voice: agents[0]?.voice ?? null,
      expiresAt,
      // A call can begin until the key expires. The clock of the provider does not decide how long a session is open.
      endsAt: new Date(Math.max(now.getTime() + ttlMs, expiresAt.getTime()) + realtimeLimits.callMs),
    },
  });
}

function changedMeanwhile(): ConflictError {
  return new ConflictError('The conversation was deleted or moved to another scenario meanwhile. Try again.');
}
