import { z } from 'zod';
import { formatId, parseId } from '../../api/ids.ts';
import type { InputPath } from '../../api/input.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { readMessagesById } from '../../conversations/load-messages.ts';
import { readConversation } from '../../conversations/read.ts';
import { type StoredRoutingDecision, storedRoutingDecision } from '../../conversations/routing-decision.ts';
import type { Db } from '../../database/client.ts';
import { makeDeletedAgent } from '../../database/deleted-rows.ts';
import { type Failure, failureCodes } from '../../engine/ports.ts';
import type { Agent, Conversation, Message, Prisma, Run } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import type { RunRuntime } from '../runtime.ts';
import { hasEnded } from '../statuses.ts';

/** The relations to load with the row: what a document selects. */
export interface RunQuery {
  readonly include?: Prisma.RunInclude;
}

/**
 * A run of the viewer's.
 * @param rawId the public id
 * @param path where the id stood in the arguments
 * @throws {BadUserInputError} {@link ForbiddenError} {@link NotFoundError}
 */
export async function findRun(
  viewer: Viewer,
  db: Db,
  rawId: string,
  path: InputPath,
  query: RunQuery = {},
): Promise<Run> {
  const id = parseId('Run', rawId, path);
  const run = await db.run.findUnique({ ...query, where: { id } });
  if (run && run.tenantId === viewer.tenantId && run.userId === viewer.userId) return run;
  throw notFoundOrForbidden(viewer, `run ${rawId}`, run);
}

/** A run of the viewer's by its row id, as events name it. */
export function readRun(viewer: Viewer, db: Db, id: string, query: RunQuery = {}): Promise<Run> {
  return findRun(viewer, db, formatId('Run', id), ['runId'], query);
}

/**
 * A message of the viewer's by its row id, as events name it.
 * @throws {NotFoundError} if it was deleted since, or belongs to somebody else; {@link QueryTooComplexError} if the answer
 *   cannot hold it
 */
export async function readRunMessage(
  viewer: Viewer,
  reads: SizedReads,
  id: string,
  query: { readonly include?: Prisma.MessageInclude } = {},
): Promise<Message> {
  const [message] = await readMessagesById(viewer, reads, [id], query);
  if (message instanceof Error) throw message;
  if (!message) throw notFoundOrForbidden(viewer, `message ${formatId('Message', id)}`, null);
  return message;
}

/** A conversation of the viewer's by its row id, as changes name it. */
export function readChangedConversation(
  viewer: Viewer,
  db: Db,
  id: string,
  query: { readonly include?: Prisma.ConversationInclude } = {},
): Promise<Conversation> {
  return readConversation(viewer, db, formatId('Conversation', id), query);
}

/**
 * A seq up to which the rows held everything when the operation began: a client that reads the rows in this operation and
 * attaches after it gets all the rest. Never ahead of the rows, so that no text is missed; text that is sent again is put
 * in its place by its offset.
 * @param since when the operation began, in milliseconds of performance.now
 */
export function savedSeq(runtime: RunRuntime, run: Run, since: number): number {
  const active = runtime.running.get(run.id);
  // The rows of a run that has ended hold all of it, also while this process still has something to do for it.
  return active && !hasEnded(run) ? Math.min(run.lastSeq, active.progress.savedSeqAt(since)) : run.lastSeq;
}

const failureColumns = z.object({
  errorCode: z.enum(failureCodes),
  errorMessage: z.string(),
  errorRetryable: z.boolean(),
});

/** Why a run failed; null if it did not. */
export function readFailure(run: Run): Failure | null {
  if (run.errorCode === null) return null;
  const { errorCode: code, errorMessage: message, errorRetryable: retryable } = failureColumns.parse(run);
  return { code, message, retryable };
}

/** The routing decision in a JSON column; null if there is none. */
export function readRoutingDecision(stored: unknown): StoredRoutingDecision | null {
  return stored === null ? null : storedRoutingDecision.parse(stored);
}

/**
 * The routing decisions of messages, for their user alone. One statement if any of them has one.
 * @returns in the order of the messages; an error for one that is not stored as a decision
 */
export async function readRoutingDecisions(
  viewer: Viewer,
  db: Db,
  messages: readonly Pick<Message, 'id' | 'routingDecision'>[],
): Promise<(StoredRoutingDecision | Error | null)[]> {
  const decided = messages.filter(({ routingDecision }) => routingDecision !== null);
  const own = await findOwn(viewer, db, decided);
  return messages.map(({ id, routingDecision }) => {
    if (!own.has(id)) return null;
    const { data, error } = storedRoutingDecision.safeParse(routingDecision);
    return data ?? error ?? null;
  });
}

/** The keys with which messages were created, for their user alone, in the order of the messages. One statement. */
export async function readCreationKeys(
  viewer: Viewer,
  db: Db,
  messages: readonly Pick<Message, 'id' | 'creationKey'>[],
): Promise<(string | null)[]> {
  const own = await findOwn(viewer, db, messages);
  return messages.map(({ id, creationKey }) => (own.has(id) ? creationKey : null));
}

/** The ids of those messages that are in conversations of the viewer. */
async function findOwn({ tenantId, userId }: Viewer, db: Db, messages: readonly Pick<Message, 'id'>[]) {
  if (messages.length === 0) return new Set<string>();
  const where = { id: { in: messages.map(({ id }) => id) }, tenantId, conversation: { userId } };
  return new Set((await db.message.findMany({ where, select: { id: true } })).map(({ id }) => id));
}

/** Loads agents by row id, batched over the operation. */
export interface AgentLoader {
  load(id: string): Promise<Agent | null>;
}

/** An agent that a row or an event refers to. Rows of agents are deleted only with their tenant: then it is an empty one. */
export async function loadAgent(agents: AgentLoader, id: string): Promise<Agent> {
  return (await agents.load(id)) ?? makeDeletedAgent(id);
}

/** Several agents, in the order of their ids; those that do not exist are skipped. */
export async function loadAgents(agents: AgentLoader, ids: readonly string[]): Promise<Agent[]> {
  const loaded = await Promise.all(ids.map((id) => agents.load(id)));
  return loaded.filter((agent) => agent !== null);
}
