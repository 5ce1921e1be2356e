import type { ExecutionResult } from 'graphql';
import { TokenExpiredError } from '../../auth/verify-token.ts';
import { callAt } from '../call-at.ts';
import type { Operation } from '../operation.ts';

type Step = IteratorResult<ExecutionResult, undefined>;
const done: Step = { done: true, value: undefined };

/**
 * Passes the events of a subscription on, each counted and with its errors presented; the operation ends with it.
 * A source that throws ends with that error as its last event. An iterator by hand, because an async generator that
 * waits for its source cannot be returned from.
 *
 * @param expiresAt when the stream has to end because the token does, in milliseconds since the epoch; null for never
 */
export function watchStream(
  source: AsyncIterable<ExecutionResult>,
  operation: Operation,
  expiresAt: number | null,
): AsyncIterableIterator<ExecutionResult, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let ended = false;
  let left = false;
  /** Answers the reader that waits, if one does. */
  let answer: ((step: Step) => void) | null = null;

  function end(): void {
    ended = true;
    expiry?.cancel();
    operation.finish();
  }

  /** Leaves the source, once: both the end of a token and the reader may ask for it. */
  async function leave(): Promise<void> {
    if (left) return;
    left = true;
    await iterator.return?.();
  }

  function fail(error: unknown): Step {
    const errors = operation.present([error]);
    end();
    return { done: false, value: { errors } };
  }

  function pass(step: IteratorResult<ExecutionResult, unknown>): Step {
    if (ended) return done;
    if (step.done) {
      end();
      return done;
    }
    operation.countEvent();
    const { value } = step;
    return value.errors
      ? { done: false, value: { ...value, errors: operation.present(value.errors) } }
      : { done: false, value };
  }

  let expired: Step | null = null;
  const expiry =
    expiresAt === null
      ? null
      : callAt(expiresAt, () => {
          const last = fail(new TokenExpiredError());
          if (answer) answer(last);
          else expired = last;
          leave().catch(() => {});
        });

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next(): Promise<Step> {
      if (expired) {
        const last = expired;
        expired = null;
        return Promise.resolve(last);
      }
      if (ended) return Promise.resolve(done);
      const step = iterator.next().then(pass, (error: unknown) => (ended ? done : fail(error)));
      if (expiry === null) return step;
      return new Promise((resolve) => {
        answer = (last) => {
          answer = null;
          resolve(last);
        };
        void step.then((next) => answer?.(next));
      });
    },
    async return(): Promise<Step> {
      if (!ended) end();
      await leave();
      return done;
    },
  };
}
