import { randomUUIDv7 } from 'node:crypto';
import type { TurnEvent, TurnToolCall } from '../../engine/events.ts';
import { TurnSources } from '../../knowledge/cite/turn-sources.ts';
import type { RunEventPayload } from '../../log/event.ts';
import type { LeaseLost } from '../lease.ts';
import type { LaunchRequest, RunProgress, RunRuntime, UnsavedText, UnstoredText } from '../runtime.ts';
import { type AgentChange, changeToRouted, setAgent } from '../transitions/set-agent.ts';
import type { FinishedMessage, LedgerEntry } from '../transitions/step-parts.ts';
import { CheckpointTimes } from './checkpoint-times.ts';
import { changeUserMessage, insertGuardResult } from './guard-rows.ts';
import { KeptReasoning } from './kept-reasoning.ts';
import { OpenCalls } from './open-calls.ts';
import { type MessageEnd, OpenMessage } from './open-message.ts';
import {
  completeMessage,
  insertCalls,
  insertMessage,
  insertModelCall,
  prepareTakeover,
  type RequestedCalls,
  type Takeover,
} from './run-rows.ts';
import { RunSteering } from './run-steering.ts';
import { WriteQueue } from './write-queue.ts';

type DeltaEvent = Extract<TurnEvent, { type: 'textDelta' | 'reasoningDelta' }>;
type CompletedEvent = Extract<TurnEvent, { type: 'messageCompleted' }>;
type EndEvent = Extract<TurnEvent, { type: 'turnCompleted' | 'turnFailed' | 'turnCancelled' | 'turnPaused' }>;

/**
 * Writes what happens in a run into rows, before its readers are shown it. The text of a message that is being written
 * is the exception: it is in memory, and the background jobs (checkpoint.ts) store it if that takes long.
 */
export class RunRecorder implements RunProgress {
  readonly #runtime: RunRuntime;
  readonly #request: LaunchRequest;
  #open: OpenMessage | null = null;
  /** The last message, finished: it is written with the end of the run. */
  #last: FinishedMessage | null = null;
  /** The last model call: it is written with what follows from it. */
  #ledger: LedgerEntry | null = null;
  /** The calls of the step, which are written with its message. */
  #requested: RequestedCalls | null = null;
  readonly #calls: OpenCalls;
  /** Whether tool calls wait for the next message of the run. */
  #orphans = false;
  readonly #writes: WriteQueue;
  readonly #reasoning: KeptReasoning;
  readonly #checkpoints = new CheckpointTimes();
  /** Whether an event could not be written. */
  incomplete = false;
  closing = false;
  readonly #over = Promise.withResolvers<void>();
  /** The active agent; null before the turn is compiled. */
  agentId: string | null;
  readonly steering: RunSteering;
  readonly sources = new TurnSources();

  constructor(runtime: RunRuntime, request: LaunchRequest) {
    this.#runtime = runtime;
    this.#request = request;
    this.#writes = new WriteQueue(runtime, request.run.id);
    this.#reasoning = new KeptReasoning(runtime.storesReasoning(request.run.tenantId));
    this.agentId = request.turn?.startAgentId ?? request.run.agentId;
    // Its calls may still wait for the message that follows them.
    this.#orphans = request.resumed !== null;
    this.#calls = new OpenCalls(runtime, request, this.#writes);
    this.steering = new RunSteering(runtime, request, this.#writes);
  }

  /**
   * Notes what is open when a run is taken over, and changes its rows before it continues (run-rows.ts).
   * @param openCalls the calls that are still to be made, or made again
   * @param at the agent and the step with which it continues
   */
  async takeOver(
    takeover: Takeover,
    openCalls: readonly TurnToolCall[],
    at: Pick<OpenMessage, 'agentId' | 'step'>,
  ): Promise<void> {
    await this.#writes.write(() => prepareTakeover(this.#runtime, this.#request.run, takeover));
    if (takeover.reopened !== null) this.#open = new OpenMessage({ ...at, id: takeover.reopened }, true);
    this.#calls.add(openCalls);
    // Its calls may still wait for the message that follows them.
    this.#orphans = true;
  }

  markIncomplete(): void {
    this.incomplete = true;
  }

  abandon(reason: LeaseLost): void {
    this.#writes.abandon(reason);
  }

  /** Takes a delta. It is in memory until the next checkpoint. @returns the event that readers are shown */
  recordDelta(event: DeltaEvent): RunEventPayload {
    if (event.type === 'reasoningDelta') return this.#reasoning.record(event);
    const { type: _, ...delta } = event;
    this.#open?.push(delta.delta);
    return { type: 'TextDelta', ...delta };
  }

  /**
   * Writes an event to its rows.
   * @returns the event that readers are shown; null if there is none, or if it is written and shown with the end of the run
   * @throws when the database did not take it, or an earlier write has failed that the turn did not wait for
   */
  async record(event: Exclude<TurnEvent, DeltaEvent | EndEvent>): Promise<RunEventPayload | null> {
    this.#writes.assertWritten();
    switch (event.type) {
      case 'messageStarted':
        this.#open = new OpenMessage({ id: event.messageId, agentId: event.agentId, step: event.step });
        return { type: 'MessageStarted', messageId: event.messageId, agentId: event.agentId };
      case 'textRetracted':
        this.#open?.retract(event.length);
        return { type: 'TextRetracted', messageId: event.messageId, length: event.length };
      case 'messageCompleted':
        if (event.isFinal) {
          await this.flush();
          this.#last = this.#finish(event);
          return null;
        }
        await this.#completeMessage(event);
        this.#runtime.feed.wake(this.#request.run);
        return { type: 'MessageCompleted', messageId: event.messageId };
      case 'callsRequested':
        await this.#requestCalls(event);
        return null;
      case 'toolCallStarted':
        await this.#calls.begin(event.toolCall);
        return { type: 'ToolCallStarted', toolCall: event.toolCall };
      case 'toolCallCompleted':
        this.steering.note(await this.#calls.complete(event.toolCall));
        this.sources.note(event.toolCall);
        return { type: 'ToolCallCompleted', toolCall: event.toolCall };
      case 'handoffOccurred': {
        // It is the next event: nothing else is reported in the meantime.
        const happenedSeq = this.#runtime.log.open(this.#request.run.id).lastSeq + 1;
        await this.#changeAgent({ toAgentId: event.toAgentId, handoff: { ...event, seq: happenedSeq } });
        const { id: handoffId, fromAgentId, toAgentId, reason, at } = event;
        return { type: 'HandoffOccurred', handoffId, fromAgentId, toAgentId, reason, happenedAt: at, happenedSeq };
      }
      case 'guardrailChecked':
        this.#writes.writeBehind(() => insertGuardResult(this.#runtime, this.#request.run, event));
        return event.result.tripwireTriggered ? { type: 'GuardrailTripped', result: event.result } : null;
      case 'inputRedacted':
      case 'inputBlocked':
        await this.#writes.write(() => changeUserMessage(this.#runtime, this.#request.run, event));
        this.#runtime.feed.wake(this.#request.run);
        return null;
      case 'messageSteered':
        return { type: 'MessageSteered', messageId: event.messageId };
      case 'agentRouted':
        await this.#changeAgent(changeToRouted(this.#request.run, event.routed));
        return { type: 'RoutingDecided', decision: event.routed.decision };
      case 'modelCalled':
        this.writeLedger();
        this.#ledger = { id: randomUUIDv7(), call: event.call };
        return null;
    }
  }

  /** Waits for the writes that the turn did not wait for. @throws if one has failed */
  flush(): Promise<void> {
    return this.#writes.flush();
  }

  /** Writes the last model call by itself, if nothing has taken it along. */
  writeLedger(): void {
    const ledger = this.#takeLedger();
    if (ledger) this.#writes.writeBehind(() => insertModelCall(this.#runtime, this.#request.run, ledger));
  }

  /** What the end of the run writes with it, once the turn has ended. */
  get last(): { readonly message: FinishedMessage | null; readonly ledger: LedgerEntry | null } {
    const cut = this.incomplete && this.#open !== null;
    const message = this.#last ?? (cut ? this.#finish(null) : null);
    return { message, ledger: this.#ledger };
  }

  /** Notes that the database refuses the last message: it is closed with what is known of it. */
  refuseLastMessage(): void {
    this.#last = null;
    this.markIncomplete();
  }

  /** The id of the last message, if its end is to be shown with the end of the run; null: it was shown. */
  get lastMessageId(): string | null {
    return this.#last?.messageId ?? null;
  }

  /** Notes that this process has let go of the run: nobody waits for its rows any more. */
  noteOver(): void {
    this.#over.resolve();
  }

  async written(): Promise<void> {
    if (this.#last !== null || this.closing) return this.#over.promise;
    this.writeLedger();
    const open = this.#open;
    if (open?.unstored) {
      open.storing = true;
      this.#writes.writeBehind(() => this.#insertMessage(open));
    }
    await this.#writes.settle();
  }

  takeUnstored(): UnstoredText | null {
    if (this.#last !== null || this.closing) return null;
    this.writeLedger();
    return this.#open?.unstored ?? null;
  }

  noteStoring(text: UnsavedText, writing: Promise<ReadonlySet<string>>): void {
    if (this.#open?.id !== text.messageId) return;
    const stored = this.#open.noteStoring(text, writing);
    this.#writes.waitFor(stored.then((isStored) => isStored && this.#runtime.feed.wake(this.#request.run)));
  }

  get unsaved(): UnsavedText | null {
    return this.#open?.unsaved ?? null;
  }

  noteSaved({ messageId, content }: UnsavedText): void {
    if (this.#open?.id === messageId) this.#open.noteSaved(content);
  }

  get savable(): boolean {
    return this.#open === null || this.#open.stored;
  }

  noteCheckpoint(seq: number): void {
    this.#checkpoints.note(seq);
  }

  savedSeqAt(moment: number): number {
    return this.#checkpoints.seqAt(moment);
  }

  #takeLedger(): LedgerEntry | null {
    const ledger = this.#ledger;
    this.#ledger = null;
    return ledger;
  }

  async #insertMessage(open: OpenMessage): Promise<void> {
    await insertMessage(this.#runtime, this.#request.run, open);
    open.stored = true;
    this.#runtime.feed.wake(this.#request.run);
  }

  async #completeMessage(event: CompletedEvent): Promise<void> {
    await this.flush();
    const parts = { calls: this.#requested, ledger: this.#takeLedger() };
    const message = this.#finish(event);
    const writing = this.#writes.write(() => completeMessage(this.#runtime, this.#request.run, message, parts));
    // Its row is written now: nobody else writes one meanwhile, and whoever asks for it waits.
    this.#writes.waitFor(this.#open?.noteWriting(writing.then(() => true).catch(() => false)) ?? Promise.resolve());
    await writing;
    this.#open = null;
    this.#requested = null;
    this.#orphans = false;
    this.#calls.add(parts.calls?.toolCalls ?? []);
  }

  /** @param end null: the engine has not closed it */
  #finish(end: MessageEnd | null): FinishedMessage {
    if (this.#open === null) throw new Error('No message is open.');
    const transfers = this.#requested?.transfers ?? [];
    const reasoning = this.#reasoning.of(this.#open.id);
    return this.#open.finish(end, { transfers, takesCalls: this.#orphans, sources: this.sources, reasoning });
  }

  /** Writes the calls of a step: now, or with the message of the step, which is completed next. */
  async #requestCalls(calls: RequestedCalls): Promise<void> {
    if (this.#open !== null) {
      this.#requested = calls;
      return;
    }
    // Of handoffs alone nothing is written: if they do not happen here, the step is tried again.
    if (calls.toolCalls.length === 0) return;
    const ledger = this.#takeLedger();
    await this.#writes.write(() => insertCalls(this.#runtime, this.#request.run, calls, ledger));
    this.#orphans = true;
    this.#calls.add(calls.toolCalls);
  }

  /** Closes the calls that have not ended, because the run ends (open-calls.ts). */
  cancelOpenCalls(): Promise<TurnToolCall[]> {
    return this.#calls.cancelAll(() => this.markIncomplete());
  }

  async #changeAgent(change: AgentChange): Promise<void> {
    this.steering.note(await this.#writes.write(() => setAgent(this.#runtime, this.#request.run, change)));
    this.agentId = change.toAgentId;
    this.#runtime.feed.wake(this.#request.run);
  }
}
