import type { TurnEvent, TurnToolCall } from '../../engine/events.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import type { RunEventPayload } from '../../log/event.ts';
import type { ActiveRun, RunScheduler } from '../scheduler.ts';
import { jsonInput } from './json.ts';

/** A checkpoint: at `committedAt` (milliseconds of performance.now) the rows held all that was in the log up to `seq`. */
interface Checkpoint {
  readonly committedAt: number;
  readonly seq: number;
}

type DeltaEvent = Extract<TurnEvent, { type: 'textDelta' | 'reasoningDelta' }>;
type EndEvent = Extract<TurnEvent, { type: 'turnCompleted' | 'turnFailed' | 'turnCancelled' | 'turnPaused' }>;

/**
 * Writes what happens in a run into rows, before its readers hear of it. The text of a message that is being written
 * is the exception: it is in memory, and the checkpoints (checkpoint.ts) carry it into its row.
 */
export class RunRecorder {
  readonly #runtime: RunScheduler;
  readonly #active: ActiveRun;
  /** The message that is being written. `stored`: its row is there; `saved`: what is in it. */
  #open: { readonly id: string; readonly chunks: string[]; stored: boolean; saved: string } | null = null;
  /** The last message, for the tool calls of its step. */
  #last: { readonly id: string; readonly step: number } | null = null;
  /** Whether tool calls wait for the next message of the run. */
  #orphans = false;
  /** Writes that nobody waits for; each begins when the one before has ended. */
  #behind: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;
  #checkpoints: Checkpoint[] = [];
  /** Set when an event could not be written: rows may have stayed open that the engine has closed. */
  broken = false;
  /** Set when the run is being closed: that its row is no longer RUNNING is then no surprise. */
  closing = false;
  /** Who has the floor. */
  agentId: string | null;

  constructor(runtime: RunScheduler, active: ActiveRun) {
    this.#runtime = runtime;
    this.#active = active;
    this.agentId = active.turn?.startAgentId ?? active.run.agentId;
    // Its calls may still be waiting for the message that comes of them.
    this.#orphans = active.resumed !== null;
  }

  /** Takes a delta, at once: it is in memory until the next checkpoint. @returns what readers are shown of it */
  recordDelta(event: DeltaEvent): RunEventPayload {
    if (event.type === 'reasoningDelta') return { type: 'ReasoningDelta', delta: event.delta };
    this.#open?.chunks.push(event.delta);
    return { type: 'TextDelta', messageId: event.messageId, offset: event.offset, delta: event.delta };
  }

  /**
   * Writes an event down.
   * @returns what readers are shown of it, or null for what is not theirs
   * @throws when the database did not take it, or a write that nobody waited for has failed
   */
  async record(event: Exclude<TurnEvent, DeltaEvent | EndEvent>): Promise<RunEventPayload | null> {
    if (this.#failure) throw this.#failure.error;
    const { conversationId } = this.#active.run;
    switch (event.type) {
      case 'messageStarted':
        this.#open = { id: event.messageId, chunks: [], stored: false, saved: '' };
        this.#last = { id: event.messageId, step: event.step };
        this.#writeBehind(() => this.#insertMessage(event.messageId, event.agentId, event.step));
        return { type: 'MessageStarted', messageId: event.messageId, agentId: event.agentId };
      case 'textRetracted':
        this.#open?.chunks.splice(0, Infinity, this.#open.chunks.join('').slice(0, event.length));
        return { type: 'TextRetracted', messageId: event.messageId, length: event.length };
      case 'messageCompleted':
        await this.#completeMessage(event);
        this.#runtime.feed.publish({ type: 'MessageAdded', conversationId, messageId: event.messageId });
        return { type: 'MessageCompleted', messageId: event.messageId };
      case 'toolCallStarted':
        await this.#beginCall(event.toolCall);
        return { type: 'ToolCallStarted', toolCall: event.toolCall };
      case 'toolCallCompleted':
        await this.#completeCall(event.toolCall);
        return { type: 'ToolCallCompleted', toolCall: event.toolCall };
      case 'handoffOccurred': {
        await this.#recordHandoff(event);
        const { fromAgentId, toAgentId, reason, at } = event;
        this.#runtime.feed.publish({ type: 'AgentSwitched', conversationId, fromAgentId, toAgentId, reason });
        return { type: 'HandoffOccurred', fromAgentId, toAgentId, reason, happenedAt: at };
      }
      case 'modelCalled':
        this.#writeBehind(() => this.#insertModelCall(event.call));
        return null;
    }
  }

  /** Waits for the writes that nobody waited for. @throws when one of them has failed */
  async settle(): Promise<void> {
    await this.#behind;
    if (this.#failure) throw this.#failure.error;
  }

  /** The text of the open message where its row is behind it; null where none is open, or its row is not there yet. */
  get unsaved(): { readonly messageId: string; readonly content: string } | null {
    const open = this.#open;
    if (!open?.stored) return null;
    const content = open.chunks.join('');
    open.chunks.splice(0, Infinity, content);
    return content === open.saved ? null : { messageId: open.id, content };
  }

  /** Notes that a text of the open message is in its row. */
  noteSaved(messageId: string, content: string): void {
    if (this.#open?.id === messageId) this.#open.saved = content;
  }

  /** Whether the rows can be brought up to the log by a checkpoint: not while the open message has no row. */
  get savable(): boolean {
    return this.#open === null || this.#open.stored;
  }

  /** Notes that everything up to a seq is in the rows now. */
  noteCheckpoint(seq: number): void {
    this.#checkpoints.push({ committedAt: performance.now(), seq });
    if (this.#checkpoints.length > 16) this.#checkpoints.shift();
  }

  /**
   * A seq up to which everything was in the rows before a moment (milliseconds of performance.now): whoever read the
   * rows after it may attach after that seq and misses nothing.
   */
  savedSeqAt(moment: number): number {
    return this.#checkpoints.findLast((checkpoint) => checkpoint.committedAt <= moment)?.seq ?? 0;
  }

  #writeBehind(write: () => Promise<unknown>): void {
    this.#behind = this.#behind.then(write).catch((error: unknown) => {
      this.#failure ??= { error };
    });
  }

  async #insertMessage(id: string, agentId: string, step: number): Promise<void> {
    const { run } = this.#active;
    // One statement takes the next place in the conversation and writes the row into it.
    await this.#runtime.db.$executeRaw`
      WITH place AS (
        UPDATE conversations SET message_count = message_count + 1, updated_at = now()
        WHERE id = ${run.conversationId}::uuid RETURNING message_count
      )
      INSERT INTO messages (id, tenant_id, conversation_id, position, role, status, content, agent_id, run_id, step)
      SELECT ${id}::uuid, ${run.tenantId}, ${run.conversationId}::uuid, message_count, 'ASSISTANT', 'STREAMING', '',
        ${agentId}::uuid, ${run.id}::uuid, ${step}
      FROM place`;
    if (this.#open?.id === id) this.#open.stored = true;
  }

  async #completeMessage(event: Extract<TurnEvent, { type: 'messageCompleted' }>): Promise<void> {
    await this.settle();
    const { run } = this.#active;
    await this.#runtime.db.message.updateMany({
      // Not where another process has closed it in the meantime: its readers were told what is in it.
      where: { id: event.messageId, status: 'STREAMING' },
      data: { content: event.content, status: event.status },
    });
    this.#open = null;
    if (!this.#orphans) return;
    // Calls of steps without a text belong to the message that came of them.
    await this.#runtime.db.toolCall.updateMany({
      where: { runId: run.id, messageId: null },
      data: { messageId: event.messageId },
    });
    this.#orphans = false;
  }

  /** The row of a tool call that has none yet. */
  rowOf(call: TurnToolCall): Prisma.ToolCallCreateManyInput {
    const { id: runId, tenantId, conversationId } = this.#active.run;
    const messageId = this.#last?.step === call.step ? this.#last.id : null;
    if (messageId === null) this.#orphans = true;
    return { ...call, result: Prisma.DbNull, messageId, runId, tenantId, conversationId };
  }

  async #beginCall(call: TurnToolCall): Promise<void> {
    if (call.decidedBy === null) {
      await this.#runtime.db.toolCall.createMany({ data: [this.rowOf(call)] });
      return;
    }
    // What a person was asked about has its row since then.
    await this.#runtime.db.toolCall.updateMany({
      where: { runId: this.#active.run.id, callId: call.callId, status: 'PENDING' },
      data: { status: call.status, startedAt: call.startedAt },
    });
  }

  async #completeCall(call: TurnToolCall): Promise<void> {
    // Written down when it was decided.
    if (call.status === 'DENIED') return;
    await this.#runtime.db.toolCall.updateMany({
      where: { runId: this.#active.run.id, callId: call.callId, status: 'RUNNING' },
      data: {
        status: call.status,
        // The engine made it serialisable (tool-result.ts); null is kept as SQL's own.
        result: call.result === null ? Prisma.DbNull : jsonInput.parse(call.result),
        error: call.error,
        finishedAt: call.finishedAt,
      },
    });
  }

  async #recordHandoff(event: Extract<TurnEvent, { type: 'handoffOccurred' }>): Promise<void> {
    const { db } = this.#runtime;
    const { run } = this.#active;
    const { callId, step, fromAgentId, toAgentId, reason, at } = event;
    await db.$transaction([
      db.handoff.createMany({
        data: [{ runId: run.id, tenantId: run.tenantId, callId, step, fromAgentId, toAgentId, reason, at }],
      }),
      db.conversation.updateMany({
        where: { id: run.conversationId },
        data: { activeAgentId: toAgentId, updatedAt: at },
      }),
      db.run.updateMany({ where: { id: run.id }, data: { agentId: toAgentId } }),
    ]);
    this.agentId = toAgentId;
  }

  async #insertModelCall(call: Extract<TurnEvent, { type: 'modelCalled' }>['call']): Promise<void> {
    const { run } = this.#active;
    const { usage, ...rest } = call;
    const { tenantId, userId, conversationId, id: runId } = run;
    await this.#runtime.db.modelCall.createMany({
      data: [{ ...rest, ...usage, complete: usage !== null, tenantId, userId, conversationId, runId }],
    });
  }
}
