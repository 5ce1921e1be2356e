import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { appendMessage } from '../../conversations/append.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Message, Run } from '../../generated/prisma/client.ts';
import { hashPayload, parseTurnInput, type StoredTurn, type TurnInput } from '../input.ts';
import { type CompiledTurn, type ConversationForTurn, compileTurn, conversationForTurn } from '../plan/plan-turn.ts';
import { type RunQuery, readRun } from '../read/read.ts';
import { leaseMs, type RunScheduler } from '../scheduler.ts';
import { cancelRow } from './cancel.ts';
import { startInOneStatement } from './start-fast.ts';

/**
 * Starts a turn exactly once, or finds the one that its idempotency key has started.
 *
 * One statement does it where nothing is in the way (start-at-once.ts). Otherwise one transaction holds the conversation's
 * row while it looks at the key and at what is active, and writes the user message and the run. The model is called after
 * that has committed.
 *
 * @param rawInput a ChatTurnInput
 * @returns the run; it goes on by itself
 * @throws {BadUserInputError} naming the field; {@link ConflictError} when the key came with another payload, or the
 *   conversation is busy and `ifBusy` is REJECT; {@link RateLimitedError};
 *   {@link ForbiddenError}, {@link NotFoundError} for the conversation
 */
export async function startRun(
  viewer: Viewer,
  runtime: RunScheduler,
  rawInput: unknown,
  query?: RunQuery,
): Promise<Run> {
  const input = parseTurnInput(rawInput);
  const { agentId, onDisconnect, model, temperature, maxTokens } = input;
  const stored: StoredTurn = { agentId, onDisconnect, model, temperature, maxTokens, roles: [...viewer.roles] };

  const conversation = await loadConversation(viewer, runtime, input);
  let turn: CompiledTurn;
  try {
    turn = await compileTurn(viewer, runtime, conversation, stored);
  } catch (error) {
    // What a key has started can be attached to, also when its agent could not get the floor any more.
    const { conversationId, idempotencyKey } = input;
    const same = await runtime.db.run.findFirst({ where: { conversationId, idempotencyKey } });
    if (!same) throw error;
    assertSamePayload(same, hashPayload(input));
    return query ? readRun(viewer, runtime.db, same.id, query) : same;
  }
  if (runtime.closing) throw new ConflictError('The server is stopping; try again.');
  const { run, created, first, superseded } = await writeRun(
    viewer,
    runtime,
    input,
    stored,
    turn,
    conversation.runs.length === 0,
  );

  if (created && run.status === 'RUNNING') runtime.launch({ viewer, run, stored, turn, first });
  if (created && run.status === 'QUEUED') runtime.log.open(run.id);
  if (created) announceRun(runtime, conversation, run, turn);
  // Those in front are stopped, the last of the queue first; when the one that runs has ended, this one is next.
  for (const id of superseded) await cancelRow(runtime, id, new TurnAborted());
  // The row that is answered: as it is now, or with what a document selects.
  return query || superseded.length > 0 ? readRun(viewer, runtime.db, run.id, query) : run;
}

/** Tells the readers of the conversation what starting the run has changed in it. */
function announceRun(runtime: RunScheduler, conversation: ConversationForTurn, run: Run, turn: CompiledTurn): void {
  const { id: conversationId, activeAgentId: fromAgentId } = conversation;
  runtime.feed.publish({ type: 'MessageAdded', conversationId, messageId: run.userMessageId });
  if (conversation.autoTitle) runtime.feed.publish({ type: 'ConversationUpdated', conversationId });
  runtime.feed.publish({ type: 'RunChanged', conversationId, runId: run.id });
  const toAgentId = turn.startAgentId;
  if (run.status === 'RUNNING' && fromAgentId !== toAgentId) {
    runtime.feed.publish({
      type: 'AgentSwitched',
      conversationId,
      fromAgentId,
      toAgentId,
      reason: turn.routing.reasoning,
    });
  }
}

const active = ['QUEUED', 'RUNNING', 'REQUIRES_ACTION'] as const;

/** Reads all that a turn is compiled from, and whether a run is in its way; one statement. */
async function loadConversation(
  viewer: Viewer,
  runtime: RunScheduler,
  { conversationId: id, idempotencyKey }: TurnInput,
) {
  const inTheWay = {
    where: { OR: [{ idempotencyKey }, { status: { in: [...active] } }] },
    select: { id: true },
    take: 1,
  };
  const conversation = await runtime.db.conversation.findUnique({
    where: { id },
    include: { ...conversationForTurn, runs: inTheWay },
  });
  if (conversation && conversation.tenantId === viewer.tenantId && conversation.userId === viewer.userId)
    return conversation;
  throw notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', id)}`, conversation);
}

function assertSamePayload(run: Run, payloadHash: string): void {
  if (run.payloadHash === payloadHash) return;
  const message = 'This idempotencyKey has started a turn with another payload. Use a fresh key for a new turn.';
  throw new ConflictError(message, formatId('Run', run.id));
}

/** Active and queued runs of one conversation. */
const maxWaiting = 50;

interface Written {
  readonly run: Run;
  readonly created: boolean;
  /** The user message, where the conversation begins with it. */
  readonly first: Message | null;
  /** Runs that have to make room. */
  readonly superseded: readonly string[];
}

async function writeRun(
  viewer: Viewer,
  runtime: RunScheduler,
  input: TurnInput,
  stored: StoredTurn,
  turn: CompiledTurn,
  assumeIdle: boolean,
): Promise<Written> {
  const { conversationId, idempotencyKey } = input;
  const payloadHash = hashPayload(input);
  const atOnce = assumeIdle ? await startInOneStatement(viewer, runtime, input, stored, turn, payloadHash) : null;
  if (atOnce) return { ...atOnce, created: true, superseded: [] };

  return runtime.db.$transaction(async (tx) => {
    // From here on nobody else starts or ends a run in the conversation.
    const userMessageDraft = { role: 'USER', content: input.content, attachments: [...input.attachments] } as const;
    const lock = await tx.$queryRaw<{ next: number }[]>`
      SELECT run_count + 1 AS next FROM conversations WHERE id = ${conversationId}::uuid FOR UPDATE`;
    const number = lock[0]?.next;
    if (number === undefined)
      throw notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', conversationId)}`, null);

    const related = await tx.run.findMany({
      where: { conversationId, OR: [{ idempotencyKey }, { status: { in: [...active] } }] },
      orderBy: { number: 'asc' },
    });
    const same = related.find((run) => run.idempotencyKey === idempotencyKey);
    if (same) {
      assertSamePayload(same, payloadHash);
      return { run: same, created: false, first: null, superseded: [] };
    }
    if (input.after > 0)
      throw badInput(['input', 'after'], 'must be 0 where the idempotencyKey has started no turn yet');
    const blockingRun = related.at(0);
    if (blockingRun && input.ifBusy === 'REJECT') {
      throw new ConflictError('The conversation is busy with another turn.', formatId('Run', blockingRun.id));
    }

    if (related.length >= maxWaiting) {
      throw new ConflictError(
        `At most ${maxWaiting} turns of a conversation may wait.`,
        blockingRun && formatId('Run', blockingRun.id),
      );
    }

    // Only now: attaching again costs nothing, however often a client comes back.
    await runtime.turnLimit.take(viewer);

    const startsRun = {
      activeAgentId: blockingRun ? null : turn.startAgentId,
      asked: !blockingRun && stored.agentId !== null,
    };
    const message = await appendMessage(tx, viewer.tenantId, conversationId, userMessageDraft, { startsRun });
    const now = new Date();
    const running = blockingRun
      ? ({ status: 'QUEUED' } as const)
      : ({
          status: 'RUNNING',
          startedAt: now,
          leaseOwner: runtime.instanceId,
          leaseExpiresAt: new Date(now.getTime() + leaseMs),
          agentId: turn.startAgentId,
          routingDecision: turn.routing,
        } as const);
    const run = await tx.run.create({
      data: {
        ...running,
        tenantId: viewer.tenantId,
        userId: viewer.userId,
        conversationId,
        number,
        idempotencyKey,
        payloadHash,
        input: stored,
        userMessageId: message.id,
        createdAt: now,
      },
    });
    const superseded = input.ifBusy === 'INTERRUPT' ? related.map((earlier) => earlier.id).reverse() : [];
    return { run, created: true, first: message.position === 1 ? message : null, superseded };
  });
}
