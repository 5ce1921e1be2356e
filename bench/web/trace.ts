import type { Browser, Page } from 'playwright-core';
import { z } from 'zod';
import { percentile } from '../statistics.ts';

/** What the browser's own trace says of a time, in milliseconds. */
export interface Frames {
  /** How long the page's thread was busy without a pause, at most: no frame can be drawn meanwhile. */
  readonly longestTask: number;
  /** The same in CPU time: without the time in which the machine gave the thread no core. */
  readonly longestTaskCpu: number;
  /** The time from one drawn frame to the next. There is something to draw in each. */
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

/** Traces a page while something happens in it. */
export async function traceFrames(browser: Browser, page: Page, act: () => Promise<void>): Promise<Frames> {
  const stopDrawing = await keepDrawing(page);
  await browser.startTracing(page, {
    categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline.frame', '__metadata'],
  });
  await act();
  const { traceEvents } = trace.parse(JSON.parse((await browser.stopTracing()).toString('utf8')));
  await stopDrawing();
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
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  if (tasks.length === 0 || gaps.length === 0) throw new Error('The trace has no frames.');
  return {
    longestTask: Math.max(...tasks.map(({ wall }) => wall)),
    longestTaskCpu: Math.max(...tasks.map(({ cpu }) => cpu)),
    longestFrame: Math.max(...gaps),
    p99Frame: percentile(gaps, 0.99),
    frames: times.length,
  };
}

/**
 * Has the page draw a dot anew in each frame. Otherwise a wait for the server, in which nothing is to be drawn, would look like a
 * long frame, and a page that is too busy to ask for a frame like one that needs none.
 * @returns ends it
 */
async function keepDrawing(page: Page): Promise<() => Promise<void>> {
  const dot = await page.evaluateHandle(() => {
    const element = document.createElement('div');
    const place = { position: 'fixed', inset: '0 auto auto 0', width: '1px', height: '1px' };
    Object.assign(element.style, place, { willChange: 'transform' });
    document.body.append(element);
    let isRed = false;
    const draw = () => {
      isRed = !isRed;
      element.style.backgroundColor = isRed ? 'red' : 'blue';
      if (element.isConnected) requestAnimationFrame(draw);
    };
    draw();
    return element;
  });
  return () => dot.evaluate((element) => element.remove());
}
