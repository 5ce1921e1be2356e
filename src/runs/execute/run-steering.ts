import type { LaunchRequest, RunRuntime } from '../runtime.ts';
import { announceJoined } from '../steering-notices.ts';
import { type JoinedMessage, joinSteered } from '../transitions/join-steered.ts';
import type { WriteQueue } from './write-queue.ts';

/**
 * The messages that join a run before its next model step. What the run writes anyway says whether some wait, so that a step of
 * a run that nobody steers executes no statement more.
 */
export class RunSteering {
  readonly #runtime: RunRuntime;
  readonly #run: LaunchRequest['run'];
  readonly #writes: WriteQueue;
  #mayWait: boolean;

  constructor(runtime: RunRuntime, { run, resumed, isTakeover }: LaunchRequest, writes: WriteQueue) {
    this.#runtime = runtime;
    this.#run = run;
    this.#writes = writes;
    // They may have come while no process had the run.
    this.#mayWait = resumed !== null || isTakeover;
  }

  /** Notes that messages wait. @param isSteered false: nothing is known of any */
  note(isSteered: boolean): void {
    this.#mayWait ||= isSteered;
  }

  /** Lets the messages that wait join the run, before a step (join-steered.ts). */
  async take(step: number): Promise<readonly JoinedMessage[]> {
    if (!this.#mayWait) return [];
    this.#mayWait = false;
    await this.#writes.flush();
    // It is the next event: nothing else is reported in the meantime.
    const at = { step, firstSeq: this.#runtime.log.open(this.#run.id).lastSeq + 1 };
    const joined = await this.#writes.write(() => joinSteered(this.#runtime, this.#run, at));
    if (joined.length > 0) {
      this.#runtime.feed.wake(this.#run);
      announceJoined(this.#runtime, this.#run.conversationId);
    }
    return joined;
  }
}
