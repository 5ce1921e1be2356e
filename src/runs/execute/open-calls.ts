import type { TurnToolCall } from '../../engine/events.ts';
import { describeDecidedCalls } from '../../engine/requested-calls.ts';
import { LeaseLost } from '../lease.ts';
import type { LaunchRequest, RunRuntime } from '../runtime.ts';
import { closeCall } from './close-call.ts';
import { beginCall, completeCall } from './run-rows.ts';
import type { WriteQueue } from './write-queue.ts';

/** The tool calls of a run that have not ended, with their rows. */
export class OpenCalls {
  readonly #runtime: RunRuntime;
  readonly #run: LaunchRequest['run'];
  readonly #writes: WriteQueue;
  /** By row id. */
  readonly #calls: Map<string, TurnToolCall>;

  constructor(runtime: RunRuntime, { run, resumed }: LaunchRequest, writes: WriteQueue) {
    this.#runtime = runtime;
    this.#run = run;
    this.#writes = writes;
    const decided = resumed ? describeDecidedCalls(resumed.state.paused, resumed.decisions) : [];
    this.#calls = new Map(decided.map((call) => [call.id, call]));
  }

  /** Notes calls whose rows are there. */
  add(calls: readonly TurnToolCall[]): void {
    for (const call of calls) this.#calls.set(call.id, call);
  }

  /** Writes that a call begins. */
  async begin(call: TurnToolCall): Promise<void> {
    await this.#writes.write(() => beginCall(this.#runtime, this.#run, call));
    this.#calls.set(call.id, call);
    this.#runtime.feed.wake(this.#run);
  }

  /** Writes the outcome of a call. @returns whether messages wait to join the run */
  async complete(call: TurnToolCall): Promise<boolean> {
    // A denial was written when it was decided.
    const isSteered =
      call.status !== 'DENIED' && (await this.#writes.write(() => completeCall(this.#runtime, this.#run, call)));
    this.#calls.delete(call.id);
    this.#runtime.feed.wake(this.#run);
    return isSteered;
  }

  /**
   * Closes all of them, because the run ends: CANCELLED, or UNKNOWN if they were under way.
   * @param onFailure called for each that could not be written
   * @returns them as they are now; whoever was shown them has to be told
   * @throws {LeaseLost} if the run goes on without this process
   */
  async cancelAll(onFailure: () => void): Promise<TurnToolCall[]> {
    const finishedAt = new Date();
    const cancelled = [...this.#calls.values()].map((call) => closeCall(call, finishedAt));
    for (const call of cancelled) {
      await this.complete(call).catch((error: unknown) => {
        if (error instanceof LeaseLost) throw error;
        onFailure();
      });
    }
    return cancelled;
  }
}
