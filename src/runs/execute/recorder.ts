import { randomUUIDv7 } from 'node:crypto';
import { retryWhileAway } from '../../database/outage.ts';
import type { TurnEvent, TurnToolCall } from '../../engine/events.ts';
import { describeDecidedCalls } from '../../engine/requested-calls.ts';
import type { RunEventPayload } from '../../log/event.ts';
import { LeaseLost } from '../lease.ts';
import type { LaunchRequest, RunProgress, RunRuntime, UnsavedText } from '../runtime.ts';
import { type AgentChange, changeToRouted, setAgent } from '../transitions/set-agent.ts';
import { closeCall } from './close-call.ts';
import { changeUserMessage, insertGuardResult } from './guard-rows.ts';
import {
  beginCall,
  completeCall,
  completeMessage,
  insertCalls,
  insertMessage,
  insertModelCall,
  prepareTakeover,
  type RequestedCalls,
  type Takeover,
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
  /** The calls of the step, which are written with its message. */
  #requested: RequestedCalls | null = null;
  /** The calls that have not ended, by row id. */
  readonly #openCalls: Map<string, TurnToolCall>;
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
    const decided = request.resumed
      ? describeDecidedCalls(request.resumed.state.paused, request.resumed.decisions)
      : [];
    this.#openCalls = new Map(decided.map((call) => [call.id, call]));
  }

  /** The active agent; null before the turn is compiled. */
  get agentId(): string | null {
    return this.#agentId;
  }

  /** Notes which agent is active at the start. */
  beginWith(agentId: string): void {
    this.#agentId = agentId;
  }

  /**
   * Notes what is open when a run is taken over, and changes its rows before it continues (run-rows.ts).
   * @param openCalls the calls that are still to be made, or made again
   */
  async takeOver(takeover: Takeover, openCalls: readonly TurnToolCall[]): Promise<void> {
    await this.#write(() => prepareTakeover(this.#runtime, this.#request.run, takeover));
    if (takeover.reopened !== null) this.#open = { id: takeover.reopened, chunks: [], stored: true, saved: '' };
    for (const call of openCalls) this.#openCalls.set(call.id, call);
    // Its calls may still wait for the message that follows them.
    this.#orphans = true;
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
    const { type, messageId, offset, delta } = event;
    if (type === 'reasoningDelta') return { type: 'ReasoningDelta', messageId, offset, delta };
    this.#open?.chunks.push(delta);
    return { type: 'TextDelta', messageId, offset, delta };
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
        this.#writeBehind(() => this.#insertMessage(event.messageId, event.agentId, event.step));
        return { type: 'MessageStarted', messageId: event.messageId, agentId: event.agentId };
      case 'textRetracted':
        this.#open?.chunks.splice(0, Infinity, this.#open.chunks.join('').slice(0, event.length));
        return { type: 'TextRetracted', messageId: event.messageId, length: event.length };
      case 'messageCompleted':
        await this.#completeMessage(event);
        this.#runtime.feed.wake(this.#request.run);
        return { type: 'MessageCompleted', messageId: event.messageId };
      case 'callsRequested':
        await this.#requestCalls(event);
        return null;
      case 'toolCallStarted':
        await this.#beginCall(event.toolCall);
        return { type: 'ToolCallStarted', toolCall: event.toolCall };
      case 'toolCallCompleted':
        await this.#completeCall(event.toolCall);
        return { type: 'ToolCallCompleted', toolCall: event.toolCall };
      case 'handoffOccurred': {
        // It is the next event: nothing else is reported in the meantime.
        const happenedSeq = this.#runtime.log.open(this.#request.run.id).lastSeq + 1;
        await this.#changeAgent({ toAgentId: event.toAgentId, handoff: { ...event, seq: happenedSeq } });
        const { id: handoffId, fromAgentId, toAgentId, reason, at } = event;
        return { type: 'HandoffOccurred', handoffId, fromAgentId, toAgentId, reason, happenedAt: at, happenedSeq };
      }
      case 'guardrailChecked':
        this.#writeBehind(() => insertGuardResult(this.#runtime, this.#request.run, event));
        return event.result.tripwireTriggered ? { type: 'GuardrailTripped', result: event.result } : null;
      case 'inputRedacted':
      case 'inputBlocked':
        await this.#write(() => changeUserMessage(this.#runtime, this.#request.run, event));
        this.#runtime.feed.wake(this.#request.run);
        return null;
      case 'agentRouted':
        await this.#changeAgent(changeToRouted(this.#request.run, event.routed));
        return { type: 'RoutingDecided', decision: event.routed.decision };
      case 'modelCalled':
        this.#writeBehind(insertModelCall.bind(null, this.#runtime, this.#request.run, randomUUIDv7(), event.call));
        return null;
    }
  }

  /** Waits for the writes that the turn did not wait for. @throws when one of them has failed */
  async flush(): Promise<void> {
    await this.#pendingWrites;
    if (this.#failure) throw this.#failure.error;
  }

  async written(): Promise<void> {
    await this.#pendingWrites;
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
    this.#runtime.feed.wake(this.#request.run);
  }

  async #completeMessage(event: Extract<TurnEvent, { type: 'messageCompleted' }>): Promise<void> {
    await this.flush();
    // Calls of steps without a text belong to the message that followed them.
    const [takesCalls, calls] = [this.#orphans, this.#requested];
    await this.#write(() => completeMessage(this.#runtime, this.#request.run, event, { takesCalls, calls }));
    this.#open = null;
    this.#requested = null;
    this.#orphans = false;
    for (const call of calls?.toolCalls ?? []) this.#openCalls.set(call.id, call);
  }

  /** Writes the calls of a step: now, or with the message of the step, which is completed next. */
  async #requestCalls(calls: RequestedCalls): Promise<void> {
    if (this.#open !== null) {
      this.#requested = calls;
      return;
    }
    // Of handoffs alone nothing is written: if they do not happen here, the step is tried again.
    if (calls.toolCalls.length === 0) return;
    await this.#write(() => insertCalls(this.#runtime, this.#request.run, calls));
    this.#orphans = true;
    for (const call of calls.toolCalls) this.#openCalls.set(call.id, call);
  }

  async #beginCall(call: TurnToolCall): Promise<void> {
    await this.#write(() => beginCall(this.#runtime, this.#request.run, call));
    this.#openCalls.set(call.id, call);
    this.#runtime.feed.wake(this.#request.run);
  }

  async #completeCall(call: TurnToolCall): Promise<void> {
    // A denial was written when it was decided.
    if (call.status !== 'DENIED') await this.#write(() => completeCall(this.#runtime, this.#request.run, call));
    this.#openCalls.delete(call.id);
    this.#runtime.feed.wake(this.#request.run);
  }

  /**
   * Closes the calls that have not ended, because the run ends.
   * @returns them as they are now; whoever was shown them has to be told
   * @throws {LeaseLost} if the run goes on without this process
   */
  async cancelOpenCalls(): Promise<TurnToolCall[]> {
    const finishedAt = new Date();
    const cancelled = [...this.#openCalls.values()].map((call) => closeCall(call, finishedAt));
    for (const call of cancelled) {
      await this.#completeCall(call).catch((error: unknown) => {
        if (error instanceof LeaseLost) throw error;
        this.markIncomplete();
      });
    }
    return cancelled;
  }

  async #changeAgent(change: AgentChange): Promise<void> {
    await this.#write(() => setAgent(this.#runtime, this.#request.run, change));
    this.#agentId = change.toAgentId;
    this.#runtime.feed.wake(this.#request.run);
  }
}
