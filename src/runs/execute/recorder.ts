import { randomUUIDv7 } from 'node:crypto';
import { retryWhileAway } from '../../database/outage.ts';
import type { TurnEvent, TurnToolCall } from '../../engine/events.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import type { RunEventPayload } from '../../log/event.ts';
import type { LeaseLost } from '../lease.ts';
import { writeProviderState } from '../provider-state.ts';
import type { LaunchRequest, RunProgress, RunRuntime, UnsavedText } from '../runtime.ts';
import { setAgent } from '../transitions/set-agent.ts';
import {
  beginApprovedCall,
  completeCall,
  completeMessage,
  insertCall,
  insertMessage,
  insertModelCall,
  type NewCall,
} from './run-rows.ts';

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
  readonly #lost = new AbortController();
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

  /** Ends all attempts to write: the run belongs to another process. */
  abandon(reason: LeaseLost): void {
    this.#lost.abort(reason);
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
        this.#runtime.feed.wake(this.#request.run);
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
        this.#runtime.feed.wake(this.#request.run);
        return { type: 'HandoffOccurred', fromAgentId, toAgentId, reason, happenedAt: at };
      }
      case 'providerStateReceived': {
        const column = writeProviderState(event.state);
        this.#providerState = column === null ? null : { step: event.step, column };
        return null;
      }
      case 'modelCalled':
        this.#recordModelCall(event.call);
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

  #recordModelCall(call: Extract<TurnEvent, { type: 'modelCalled' }>['call']): void {
    const id = randomUUIDv7();
    this.#writeBehind(() => insertModelCall(this.#runtime, this.#request.run, id, call));
  }

  /** Writes, and tries again while the database is away: what has happened is not lost while this process lives. */
  #write(write: () => Promise<void>): Promise<void> {
    const { logger, outageMs } = this.#runtime;
    return retryWhileAway(write, {
      maxMs: outageMs,
      signal: this.#lost.signal,
      onFailure: (error, attempt) =>
        logger.warn({ err: error, runId: this.#request.run.id, attempt }, 'a write of a run is tried again'),
    });
  }

  #writeBehind(write: () => Promise<void>): void {
    this.#pendingWrites = this.#pendingWrites
      .then(() => this.#write(write))
      .catch((error: unknown) => {
        this.#failure ??= { error };
      });
  }

  async #insertMessage(id: string, agentId: string, step: number): Promise<void> {
    await insertMessage(this.#runtime, this.#request.run, { id, agentId, step });
    if (this.#open?.id === id) this.#open.stored = true;
  }

  async #completeMessage(event: Extract<TurnEvent, { type: 'messageCompleted' }>): Promise<void> {
    await this.flush();
    // Calls of steps without a text belong to the message that followed them.
    const takesCalls = this.#orphans;
    await this.#write(() => completeMessage(this.#runtime, this.#request.run, event, takesCalls));
    this.#open = null;
    this.#orphans = false;
  }

  /** The row of a tool call that has none yet. */
  #rowOf(call: TurnToolCall): NewCall {
    const messageId = this.#last?.step === call.step ? this.#last.id : null;
    if (messageId === null) this.#orphans = true;
    const providerState = this.#providerState?.step === call.step ? this.#providerState.column : null;
    this.#providerState = null;
    return { ...call, messageId, providerState };
  }

  /** As {@link RunRecorder.#rowOf}, for a call that a person is asked about. */
  waitingRowOf(call: TurnToolCall): Prisma.ToolCallCreateManyInput {
    const { id: runId, tenantId, conversationId } = this.#request.run;
    const { providerState, ...row } = this.#rowOf(call);
    const state = providerState === null ? {} : { providerState };
    return { ...row, ...state, result: Prisma.DbNull, runId, tenantId, conversationId };
  }

  async #beginCall(call: TurnToolCall): Promise<void> {
    const { run } = this.#request;
    if (call.decidedBy !== null) {
      await this.#write(() => beginApprovedCall(this.#runtime, run, call));
      return;
    }
    const row = this.#rowOf(call);
    await this.#write(() => insertCall(this.#runtime, run, row));
  }

  async #completeCall(call: TurnToolCall): Promise<void> {
    // It was written when it was decided.
    if (call.status === 'DENIED') return;
    await this.#write(() => completeCall(this.#runtime, this.#request.run, call));
  }

  async #recordHandoff(event: Extract<TurnEvent, { type: 'handoffOccurred' }>): Promise<void> {
    const { toAgentId, ...handoff } = event;
    await this.#write(() => setAgent(this.#runtime, this.#request.run, { toAgentId, handoff }));
    this.#agentId = toAgentId;
  }
}
