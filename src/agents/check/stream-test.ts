import type { Viewer } from '../../auth/viewer.ts';
import type { AgentDependencies } from '../dependencies.ts';
import { type AgentTest, prepareTest, runTest } from './check-agent.ts';

/** A piece of the answer of a tested agent. */
export interface AgentTestTextDelta {
  readonly delta: string;
  /** The time until the first text or reasoning, in milliseconds. */
  readonly timeToFirstTokenMs: number;
}

type Event = AgentTestTextDelta | AgentTest;
type Step = IteratorResult<Event, undefined>;
const done: Step = { done: true, value: undefined };

/**
 * Does what `testAgent` does, and tells the text of the answer as it arrives; the result is the last event. The model is
 * asked when the first event is. A reader who leaves ends the test. To one who reads slowly, what has arrived in the
 * meantime is one piece: at most the maximum length of an answer is held.
 * @throws what {@link prepareTest} throws
 */
export async function streamTest(
  viewer: Viewer,
  deps: AgentDependencies,
  id: string,
  prompt: string,
): Promise<AsyncIterableIterator<Event, undefined>> {
  const test = await prepareTest(viewer, deps, id, prompt);
  const left = new AbortController();
  /** What has arrived and was not read. */
  let unread: AgentTestTextDelta | null = null;
  let wake = () => {};
  const onText = (delta: string, timeToFirstTokenMs: number) => {
    unread = { delta: `${unread?.delta ?? ''}${delta}`, timeToFirstTokenMs };
    wake();
  };
  /** The test; null: it was not begun. */
  let running: Promise<AgentTest> | null = null;
  let isOver = false;

  const take = (): AgentTestTextDelta | null => {
    const taken = unread;
    unread = null;
    return taken;
  };
  const reader: AsyncIterableIterator<Event, undefined> = {
    [Symbol.asyncIterator]: () => reader,
    async next(): Promise<Step> {
      if (isOver) return done;
      running ??= runTest(viewer, deps, { ...test, clientGone: left.signal, onText });
      if (unread === null) {
        const arrived = new Promise<void>((resolve) => {
          wake = resolve;
        });
        // A failure of the test is thrown below, behind the text that came before it.
        await Promise.race([arrived, running.catch(() => {})]);
      }
      const value = take();
      if (value !== null) return { done: false, value };
      isOver = true;
      return { done: false, value: await running };
    },
    // By hand, because `return` of a generator waits while the generator waits for its source.
    async return(): Promise<Step> {
      isOver = true;
      left.abort();
      return done;
    },
  };
  return reader;
}
