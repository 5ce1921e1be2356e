import type { Browser, Page } from 'playwright-core';
import { z } from 'zod';
import { percentile } from '../statistics.ts';

/** What the browser's own trace says of a time, in milliseconds. */
export interface Frames {
  /** How long the page's thread was busy without a pause, at most: no frame can be drawn meanwhile. */
  readonly longestTask: number;
  /** The same in CPU time: without the time in which the machine gave the thread no core. */
  readonly longestTaskCpu: number;
  /** The time from one drawn frame to the next, while frames were drawn all the time. */
  readonly longestFrame: number;
  readonly p99Frame: number;
  readonly frames: number;
}

const trace = z.object({
  traceEvents: z.array(
    z.object({
      name: z.string(),
      ph: z.string(),
      pid: z.number(),
      tid: z.number(),
      ts: z.number().default(0),
      dur: z.number().default(0),
      tdur: z.number().default(0),
      args: z.object({ name: z.string().optional() }).optional().catch(undefined),
    }),
  ),
});

/** Waits longer than this between two frames are pauses in which nothing was to be drawn. */
const pauseMs = 400;

/** Traces a page while something happens in it. */
export async function traceFrames(browser: Browser, page: Page, act: () => Promise<void>): Promise<Frames> {
  await browser.startTracing(page, {
    categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline.frame', '__metadata'],
  });
  await act();
  const { traceEvents } = trace.parse(JSON.parse((await browser.stopTracing()).toString('utf8')));
  // The page's process is the one whose frames the devtools draw.
  const drawn = Map.groupBy(
    traceEvents.filter(({ name }) => name === 'DrawFrame'),
    ({ pid }) => pid,
  );
  const [pid, draws] = [...drawn].sort(([, one], [, other]) => other.length - one.length)[0] ?? [0, []];
  const main = traceEvents.find(
    (event) => event.pid === pid && event.name === 'thread_name' && event.args?.name === 'CrRendererMain',
  )?.tid;
  const tasks = traceEvents
    .filter((event) => event.pid === pid && event.tid === main && /RunTask$/.test(event.name))
    .map(({ dur, tdur }) => ({ wall: dur / 1_000, cpu: tdur / 1_000 }));
  const times = draws.map(({ ts }) => ts / 1_000).sort((one, other) => one - other);
  const gaps = times.slice(1).flatMap((time, index) => {
    const gap = time - (times[index] ?? time);
    return gap > 0 && gap < pauseMs ? [gap] : [];
  });
  if (tasks.length === 0 || gaps.length === 0) throw new Error('The trace has no frames.');
  return {
    longestTask: Math.max(...tasks.map(({ wall }) => wall)),
    longestTaskCpu: Math.max(...tasks.map(({ cpu }) => cpu)),
    longestFrame: Math.max(...gaps),
    p99Frame: percentile(gaps, 0.99),
    frames: times.length,
  };
}
