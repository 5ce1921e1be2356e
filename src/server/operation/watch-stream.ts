import type { ExecutionResult } from 'graphql';
import { TokenExpiredError } from '../../auth/verify-token.ts';
import { callAt } from './call-at.ts';
import type { Operation } from './operation.ts';

type Step = IteratorResult<ExecutionResult, undefined>;
const done: Step = { done: true, value: undefined };

/**
 * Forwards the events of a subscription. Each event is counted and its errors are presented; the operation finishes
 * together with the stream. If the source throws, that error is the last event. The iterator is written by hand because
 * `return` of an async generator waits while the generator waits for its source.
 *
 * @param expiresAt when the token expires and the stream has to end, in milliseconds since the epoch; null: never
 */
export function watchStream(
  source: AsyncIterable<ExecutionResult>,
  operation: Operation,
  expiresAt: number | null,
): AsyncIterableIterator<ExecutionResult, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  let sourceReleased = false;
  /** Resolves the pending `next`, if there is one. */
  let resolvePending: ((step: Step) => void) | null = null;

  function end(): void {
    ended = true;
    expiry?.cancel();
    operation.finish();
  }

  /** Ends the source, once: both the expiry of the token and the reader may ask for it. */
  async function releaseSource(): Promise<void> {
    if (sourceReleased) return;
    sourceReleased = true;
    await iterator.return?.();
  }

  /** Ends the stream and its source. @returns the last event */
  function fail(error: unknown): Step {
    const errors = operation.present([error]);
    end();
    releaseSource().catch(() => {});
    return { done: false, value: { errors } };
  }

  function forward(step: IteratorResult<ExecutionResult, unknown>): Step {
    if (ended) return done;
    if (step.done) {
      end();
      return done;
    }
    operation.countEvent();
    return { done: false, value: operation.presentResult(step.value) };
  }

  let expiredStep: Step | null = null;
  const expiry =
    expiresAt === null
      ? null
      : callAt(expiresAt, () => {
          const last = fail(new TokenExpiredError());
          if (resolvePending) resolvePending(last);
          else expiredStep = last;
        });

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next(): Promise<Step> {
      if (expiredStep) {
        const last = expiredStep;
        expiredStep = null;
        return Promise.resolve(last);
      }
      if (ended) return Promise.resolve(done);
      const step = iterator.next().then(forward, (error: unknown) => (ended ? done : fail(error)));
      if (expiry === null) return step;
      return new Promise((resolve) => {
        resolvePending = (last) => {
          resolvePending = null;
          resolve(last);
        };
        void step.then((next) => resolvePending?.(next));
      });
    },
    async return(): Promise<Step> {
      if (!ended) end();
      await releaseSource();
      return done;
    },
  };
}
