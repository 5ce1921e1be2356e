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
  /** The CPU time of the page's thread in the longest frame. The rest of it, others have worked, or had the cores. */
  readonly workInIt: number;
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
      args: z
        .object({ name: z.string().optional(), data: z.object({ message: z.string().optional() }).optional() })
        .optional()
        .catch(undefined),
    }),
  ),
});

/** How long an element is waited for, in milliseconds. */
const patienceMs = 120_000;

/** The mark in the trace from which on it is measured. */
const begins = 'what is measured begins';

/** Traces a page while something happens in it. */
export async function traceFrames(browser: Browser, page: Page, act: () => Promise<void>): Promise<Frames> {
  const stopDrawing = await keepDrawing(page);
  await browser.startTracing(page, {
    categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline.frame', '__metadata'],
  });
  // What tracing begins with is not measured.
  await page.waitForTimeout(300);
  await page.evaluate((name) => console.timeStamp(name), begins);
  await act();
  const { traceEvents } = trace.parse(JSON.parse((await browser.stopTracing()).toString('utf8')));
  await stopDrawing();
  const from = traceEvents.find(({ args }) => args?.data?.message === begins)?.ts ?? Number.NaN;
  // The page's process is the one whose frames the devtools draw.
  const drawn = Map.groupBy(
    traceEvents.filter(({ name, ts }) => name === 'DrawFrame' && ts >= from),
    ({ pid }) => pid,
  );
  const [pid, draws] = [...drawn].sort(([, one], [, other]) => other.length - one.length)[0] ?? [0, []];
  const main = traceEvents.find(
    (event) => event.pid === pid && event.name === 'thread_name' && event.args?.name === 'CrRendererMain',
  )?.tid;
  const times = draws.map(({ ts }) => ts / 1_000).sort((one, other) => one - other);
  // Not the task in which tracing ends.
  const until = (times.at(-1) ?? 0) * 1_000;
  const tasks = traceEvents
    .filter((event) => event.pid === pid && event.tid === main && /RunTask$/.test(event.name))
    .filter(({ ts }) => ts >= from && ts < until)
    .map(({ ts, dur, tdur }) => ({ start: ts / 1_000, wall: dur / 1_000, cpu: tdur / 1_000 }));
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  const longestFrame = Math.max(...gaps);
  const began = times[gaps.indexOf(longestFrame)] ?? Number.NaN;
  const workInIt = tasks.reduce((sum, { start, wall, cpu }) => {
    const within = Math.min(start + wall, began + longestFrame) - Math.max(start, began);
    return within > 0 ? sum + (cpu * within) / wall : sum;
  }, 0);
  if (tasks.length === 0 || gaps.length === 0) throw new Error('The trace has no frames.');
  return {
    longestTask: Math.max(...tasks.map(({ wall }) => wall)),
    longestTaskCpu: Math.max(...tasks.map(({ cpu }) => cpu)),
    longestFrame,
    workInIt,
    p99Frame: percentile(gaps, 0.99),
    frames: times.length,
  };
}

/**
 * Waits until the page has an element, in the page itself. A locator is looked for from outside: it walks through the whole page,
 * again and again, which takes 10 ms and more of the time of its thread.
 */
export async function waitInPage(page: Page, selector: string): Promise<void> {
  await page.evaluate(
    async ({ wanted, until }) => {
      while (document.querySelector(wanted) === null) {
        if (Date.now() > until) throw new Error(`There is no ${wanted}.`);
        await new Promise((go) => setTimeout(go, 50));
      }
    },
    { wanted: selector, until: Date.now() + patienceMs },
  );
}

/**
 * Has the page draw a dot anew in each frame. Otherwise a wait for the server, in which nothing is to be drawn, would look like a
 * long frame, and a page that is too busy to ask for a frame like one that needs none.
 * @returns ends it
 */
async function keepDrawing(page: Page): Promise<() => Promise<void>> {
  // Without a handle of the element: for one, Playwright loads a script into the page, which takes 20 ms while it is measured.
  await page.evaluate(() => {
    const element = document.createElement('div');
    const place = { position: 'fixed', inset: '0 auto auto 0', width: '1px', height: '1px' };
    Object.assign(element.style, place, { willChange: 'transform' });
    element.id = 'drawn-in-each-frame';
    document.body.append(element);
    let isRed = false;
    const draw = () => {
      isRed = !isRed;
      element.style.backgroundColor = isRed ? 'red' : 'blue';
      if (element.isConnected) requestAnimationFrame(draw);
    };
    draw();
  });
  return () => page.evaluate(() => document.getElementById('drawn-in-each-frame')?.remove());
}
