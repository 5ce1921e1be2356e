import { observeTurn } from '../../telemetry/turns/turn.ts';
import { LeaseLost, RunLease } from '../lease.ts';
import type { ActiveRun, LaunchRequest, RunOutcome, RunRuntime } from '../runtime.ts';
import { describeTurn } from './describe-turn.ts';
import { executeRun } from './execute.ts';
import { RunRecorder } from './recorder.ts';

/** Carries out one run in this process, from the moment it is made. */
export class RunningTurn implements ActiveRun {
  readonly viewer: LaunchRequest['viewer'];
  readonly run: LaunchRequest['run'];
  readonly leasedAt: LaunchRequest['leasedAt'];
  readonly lease: RunLease;
  readonly stored: LaunchRequest['stored'];
  readonly turn: LaunchRequest['turn'];
  readonly openingMessage: LaunchRequest['openingMessage'];
  readonly resumed: LaunchRequest['resumed'];
  readonly isTakeover: LaunchRequest['isTakeover'];
  readonly cancelOnDisconnect: boolean;
  readonly progress: RunRecorder;
  readonly done: Promise<RunOutcome>;
  readonly #controller = new AbortController();

  /**
   * @param release called when this process has let go of the run, before `done` resolves
   */
  constructor(runtime: RunRuntime, request: LaunchRequest, release: (turn: RunningTurn) => void) {
    this.viewer = request.viewer;
    this.run = request.run;
    this.leasedAt = request.leasedAt;
    this.lease = new RunLease(request.leasedAt);
    this.stored = request.stored;
    this.turn = request.turn;
    this.openingMessage = request.openingMessage;
    this.resumed = request.resumed;
    this.isTakeover = request.isTakeover;
    this.cancelOnDisconnect = request.stored.onDisconnect === 'CANCEL';
    this.progress = new RunRecorder(runtime, request);
    this.done = this.#carryOut(runtime).finally(() => release(this));
  }

  async #carryOut(runtime: RunRuntime): Promise<RunOutcome> {
    try {
      return await observeTurn(describeTurn(this), () => executeRun(runtime, this, this.progress));
    } catch (error) {
      runtime.logger.error({ err: error, runId: this.run.id }, 'a run was left to whoever takes it over');
      return 'lost';
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(reason: unknown): void {
    if (reason instanceof LeaseLost) this.progress.abandon(reason);
    this.#controller.abort(reason);
  }
}
