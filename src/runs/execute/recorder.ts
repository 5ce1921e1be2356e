import type { TurnEvent, TurnToolCall } from '../../engine/events.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import type { RunEventPayload } from '../../log/event.ts';
import { writeProviderState } from '../provider-state.ts';
import type { LaunchRequest, RunProgress, RunRuntime, UnsavedText } from '../runtime.ts';
import { setAgent } from '../transitions/set-agent.ts';
import { jsonInput } from './json.ts';

/** A checkpoint: at `committedAt` (milliseconds of performance.now) the rows held all that was in the log up to `seq`. */
interface Checkpoint {
  readonly committedAt: number;
  readonly seq: number;
}

type DeltaEvent = Extract<TurnEvent, { type: 'textDelta' | 'reasoningDelta' }>;
type EndEvent = Extract<TurnEvent, { type: 'turnCompleted' | 'turnFailed' | 'turnCancelled' | 'turnPaused' }>;

/**
 * Writes what happens in a run into rows, before its readers are shown it. The text of a message that is being written
 * is the exception: it is in memory, and the checkpoints (checkpoint.ts) save it to its row.
 */
export class RunRecorder implements RunProgress {
  readonly #runtime: RunRuntime;
  readonly #request: LaunchRequest;
  /** The message that is being written. `stored`: its row is there; `saved`: what is in it. */
  #open: { readonly id: string; readonly chunks: string[]; stored: boolean; saved: string } | null = null;
  /** The last message, for the tool calls of its step. */
  #last: { readonly id: string; readonly step: number } | null = null;
  /** What the provider of a step wants back, until the row of the step's first call is written. */
  #providerState: { readonly step: number; readonly column: Prisma.InputJsonValue } | null = null;
  /** Whether tool calls wait for the next message of the run. */
  #orphans = false;
  /** Writes that the turn does not wait for; each begins when the one before has ended. */
  #pendingWrites: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | null = null;
  #checkpoints: Checkpoint[] = [];
  #incomplete = false;
  #closing = false;
  #agentId: string | null;

  constructor(runtime: RunRuntime, request: LaunchRequest) {
    this.#runtime = runtime;
    this.#request = request;
    this.#agentId = request.turn?.startAgentId ?? request.run.agentId;
    // Its calls may still wait for the message that follows them.
    this.#orphans = request.resumed !== null;
  }

  /** The active agent; null before the turn is compiled. */
  get agentId(): string | null {
    return this.#agentId;
  }

  /** Notes which agent is active at the start. */
  beginWith(agentId: string): void {
    this.#agentId = agentId;
  }

  /** Whether an event could not be written: rows may be open that the engine has closed. */
  get incomplete(): boolean {
    return this.#incomplete;
  }

  /** Notes that an event could not be written. */
  markIncomplete(): void {
    this.#incomplete = true;
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** Notes that the status of the run is about to change. */
  beginClosing(): void {
    this.#closing = true;
  }

  /** Takes a delta. It is in memory until the next checkpoint. @returns the event that readers are shown */
  recordDelta(event: DeltaEvent): RunEventPayload {
    if (event.type === 'reasoningDelta') return { type: 'ReasoningDelta', delta: event.delta };
    this.#open?.chunks.push(event.delta);
    return { type: 'TextDelta', messageId: event.messageId, offset: event.offset, delta: event.delta };
  }

  /**
   * Writes an event to its rows.
   * @returns the event that readers are shown; null if there is none
   * @throws when the database did not take it, or an earlier write has failed that the turn did not wait for
   */
  async record(event: Exclude<TurnEvent, DeltaEvent | EndEvent>): Promise<RunEventPayload | null> {
    if (this.#failure) throw this.#failure.error;
    const { conversationId } = this.#request.run;
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
      case 'providerStateReceived': {
        const column = writeProviderState(event.state);
        this.#providerState = column === null ? null : { step: event.step, column };
        return null;
      }
      case 'modelCalled':
        this.#writeBehind(() => this.#insertModelCall(event.call));
        return null;
    }
  }

  /** Waits for the writes that the turn did not wait for. @throws when one of them has failed */
  async flush(): Promise<void> {
    await this.#pendingWrites;
    if (this.#failure) throw this.#failure.error;
  }

  get unsaved(): UnsavedText | null {
    const open = this.#open;
    if (!open?.stored) return null;
    const content = open.chunks.join('');
    open.chunks.splice(0, Infinity, content);
    return content === open.saved ? null : { messageId: open.id, content };
  }

  noteSaved({ messageId, content }: UnsavedText): void {
    if (this.#open?.id === messageId) this.#open.saved = content;
  }

  get savable(): boolean {
    return this.#open === null || this.#open.stored;
  }

  noteCheckpoint(seq: number): void {
    this.#checkpoints.push({ committedAt: performance.now(), seq });
    if (this.#checkpoints.length > 16) this.#checkpoints.shift();
  }

  savedSeqAt(moment: number): number {
    return this.#checkpoints.findLast((checkpoint) => checkpoint.committedAt <= moment)?.seq ?? 0;
  }

  #writeBehind(write: () => Promise<unknown>): void {
    this.#pendingWrites = this.#pendingWrites.then(write).catch((error: unknown) => {
      this.#failure ??= { error };
    });
  }

  async #insertMessage(id: string, agentId: string, step: number): Promise<void> {
    const { run } = this.#request;
    // One statement takes the next position in the conversation and writes the row.
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
    await this.flush();
    const { run } = this.#request;
    await this.#runtime.db.message.updateMany({
      // Not if another process has closed it in the meantime: its readers have been shown what is in it.
      where: { id: event.messageId, status: 'STREAMING' },
      data: { content: event.content, status: event.status, finishReason: event.finishReason },
    });
    this.#open = null;
    if (!this.#orphans) return;
    // Calls of steps without a text belong to the message that followed them.
    await this.#runtime.db.toolCall.updateMany({
      where: { runId: run.id, messageId: null },
      data: { messageId: event.messageId },
    });
    this.#orphans = false;
  }

  /** The row of a tool call that has none yet. */
  rowOf(call: TurnToolCall): Prisma.ToolCallCreateManyInput {
    const { id: runId, tenantId, conversationId } = this.#request.run;
    const messageId = this.#last?.step === call.step ? this.#last.id : null;
    if (messageId === null) this.#orphans = true;
    const state = this.#providerState?.step === call.step ? { providerState: this.#providerState.column } : {};
    this.#providerState = null;
    return { ...call, ...state, result: Prisma.DbNull, messageId, runId, tenantId, conversationId };
  }

  async #beginCall(call: TurnToolCall): Promise<void> {
    if (call.decidedBy === null) {
      await this.#runtime.db.toolCall.createMany({ data: [this.rowOf(call)] });
      return;
    }
    // A call that a person was asked about has its row since then.
    await this.#runtime.db.toolCall.updateMany({
      where: { runId: this.#request.run.id, callId: call.callId, status: 'PENDING' },
      data: { status: call.status, startedAt: call.startedAt },
    });
  }

  async #completeCall(call: TurnToolCall): Promise<void> {
    // It was written when it was decided.
    if (call.status === 'DENIED') return;
    await this.#runtime.db.toolCall.updateMany({
      where: { runId: this.#request.run.id, callId: call.callId, status: 'RUNNING' },
      data: {
        status: call.status,
        // The engine made it serialisable (tool-result.ts); null is stored as SQL NULL.
        result: call.result === null ? Prisma.DbNull : jsonInput.parse(call.result),
        error: call.error,
        finishedAt: call.finishedAt,
      },
    });
  }

  async #recordHandoff(event: Extract<TurnEvent, { type: 'handoffOccurred' }>): Promise<void> {
    const { db } = this.#runtime;
    const { run } = this.#request;
    const { callId, step, fromAgentId, toAgentId, reason, at } = event;
    await db.$transaction([
      db.handoff.createMany({
        data: [{ runId: run.id, tenantId: run.tenantId, callId, step, fromAgentId, toAgentId, reason, at }],
      }),
      db.conversation.updateMany({
        where: { id: run.conversationId },
        data: { activeAgentId: toAgentId, updatedAt: at },
      }),
      setAgent(this.#runtime, run.id, toAgentId),
    ]);
    this.#agentId = toAgentId;
  }

  async #insertModelCall(call: Extract<TurnEvent, { type: 'modelCalled' }>['call']): Promise<void> {
    const { run } = this.#request;
    const { usage, ...rest } = call;
    const { tenantId, userId, conversationId, id: runId } = run;
    await this.#runtime.db.modelCall.createMany({
      data: [{ ...rest, ...usage, complete: usage !== null, tenantId, userId, conversationId, runId }],
    });
  }
}
