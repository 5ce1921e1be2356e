import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { memory } from '../../probe-figures.ts';
import { type Cluster, type Instance, metricsToken } from '../cluster.ts';
import { mebibytes, type Outcome } from '../outcome.ts';
import { seenTurn } from '../seen-turn.ts';
import { findRun } from './find-run.ts';
import { cancelRun, post } from './post.ts';

/** How much may be left over, as a part of what was there before. */
const maxRise = 0.05;
/** How long a server may take to notice that clients are gone, in milliseconds. */
const settleMs = 2_000;
/** What listens on behalf of a client. */
const listeners = ['switchboard_sockets_open', 'switchboard_cursors_open', 'switchboard_feed_readers'] as const;

/** What an instance holds. */
interface Held {
  readonly files: number;
  readonly heap: number;
  readonly listeners: number;
}

/** Clients that connect, subscribe and are gone without a goodbye: nothing of them is left, at both instances. */
export async function measureChurn(cluster: Cluster): Promise<Outcome> {
  const { short, load } = cluster;
  const cycles = short ? 200 : 10_000;
  // The turn that goes on does not hold up their end.
  const settings = { DRAIN_SECONDS: '0' };
  const instances = await Promise.all([cluster.start(settings), cluster.start(settings)]);
  const urls = instances.map(({ url }) => url);
  await load.call('ready', urls, z.unknown());
  const [talk] = await cluster.createConversations(instances[0], 1);
  if (!talk) throw new Error('There is no conversation.');
  // A run that goes on all the while, at the first instance.
  const speech = { pieces: 20_000, bytes: 6, perSecond: 20 };
  const turn = load.call('turn', { ...talk, speech, start: urls[0], readers: [], stay: true }, seenTurn);
  const runId = await findRun(instances[0], talk);
  const faults: string[] = [];
  const rows: string[][] = [];
  const churnAt = (url: string, count: number) =>
    load.call('churn', { url, talk, runId, cycles: count, parallel: 20 }, z.int());
  for (const [index, instance] of instances.entries()) {
    const name = ['the instance that runs the turn', 'the other instance'][index] ?? '';
    // What is compiled and cached by the first clients is there before.
    await churnAt(instance.url, Math.max(150, cycles / 10));
    const before = await measure(instance);
    const served = await churnAt(instance.url, cycles);
    const after = await measure(instance);
    if (served === 0) faults.push(`${name}: no client was given an event.`);
    for (const what of ['files', 'heap', 'listeners'] as const) {
      // A few that are just then opened or closed, and a garbage collection, are no leak.
      const spare = { files: 2, heap: 1024 * 1024, listeners: 0 }[what];
      if (after[what] > before[what] * (1 + maxRise) + spare)
        faults.push(`${name}: ${what} ${before[what]} before, ${after[what]} after.`);
    }
    const pair = (what: 'files' | 'listeners') => `${before[what]} → ${after[what]}`;
    rows.push([
      name,
      `${served} of ${cycles}`,
      pair('files'),
      pair('listeners'),
      `${mebibytes(before.heap)} → ${mebibytes(after.heap)}`,
    ]);
  }
  await post(instances[0], talk, cancelRun(runId));
  await turn.catch(() => {});
  await Promise.all(instances.map((instance) => instance.stop()));
  return {
    title: `${cycles} times: connect, subscribe, kill the connection; at each instance`,
    columns: ['', 'had an event', 'open files', 'listeners', 'heap'],
    rows,
    notes: ['Listeners are open sockets, readers of runs and readers of the feed, as /metrics counts them.'],
    faults,
    slow: [],
  };
}

async function measure({ child, url }: Instance): Promise<Held> {
  await sleep(settleMs);
  const heaps: number[] = [];
  for (let round = 0; round < 3; round++) heaps.push((await child.call('memory', null, memory)).heapUsed);
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${metricsToken}` } });
  const text = await response.text();
  const count = (name: string) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)`, 'm').exec(text)?.[1] ?? 'NaN');
  const sum = listeners.reduce((total, name) => total + count(name), 0);
  if (Number.isNaN(sum)) throw new Error('/metrics lacks a gauge of the listeners.');
  return { files: readdirSync(`/proc/${child.pid}/fd`).length, heap: Math.min(...heaps), listeners: sum };
}
