import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { percentile } from '../../statistics.ts';
import type { Cluster, Instance } from '../cluster.ts';
import { type Outcome, seconds } from '../outcome.ts';
import { talkResult } from '../seen-turn.ts';

const readyEveryMs = 250;

/** Both instances are replaced, one after the other, while clients take turn after turn. */
export async function measureRolling(cluster: Cluster): Promise<Outcome> {
  const { short, load } = cluster;
  const clients = short ? 20 : 150;
  const drain = { DRAIN_SECONDS: short ? '2' : '10' };
  // Longer than an instance drains: some turns are handed over.
  const speech = { pieces: short ? 50 : 200, bytes: 6, perSecond: 15 };
  let instances: Instance[] = await Promise.all([cluster.start(drain), cluster.start(drain)]);
  // The balancer: it asks who is ready, and gives new connections to those.
  let balancing = true;
  const balance = async () => {
    while (balancing) {
      const ready = await Promise.all(instances.map(isReady));
      await load.call(
        'ready',
        instances.filter((_, index) => ready[index]).map(({ url }) => url),
        z.unknown(),
      );
      await sleep(readyEveryMs);
    }
  };
  const balancer = balance();
  const [first] = instances;
  if (!first) throw new Error('There is no instance.');
  const talks = await cluster.createConversations(first, clients);
  await load.call('talk', { talks, speech }, z.unknown());
  await sleep(2_000);
  const stopsMs: number[] = [];
  for (const old of [...instances]) {
    const fresh = await cluster.start(drain);
    instances.push(fresh);
    await sleep(2 * readyEveryMs);
    const begun = performance.now();
    await old.stop();
    stopsMs.push(performance.now() - begun);
    instances = instances.filter((instance) => instance !== old);
  }
  const result = await load.call('hush', null, talkResult);
  balancing = false;
  await balancer;
  await Promise.all(instances.map((instance) => instance.stop()));
  const faults = [...result.faults, ...result.errors];
  if (result.reconnects === 0) faults.push('No client was sent to another instance.');
  if (stopsMs.some((stopMs) => stopMs > 28_000)) faults.push('An instance did not end within 28 s.');
  return {
    title: `A rolling restart of both instances under ${clients} clients, DRAIN_SECONDS ${drain.DRAIN_SECONDS}`,
    columns: ['turns', 'failed', 'reconnects', 'texts told again', 'longest pause p50', 'p99', 'longest', 'stops'],
    rows: [
      [
        `${result.turns}`,
        `${faults.length}`,
        `${result.reconnects}`,
        `${result.repeats}`,
        ...[0.5, 0.99, 1].map((part) => seconds(percentile(result.pauses, part))),
        stopsMs.map(seconds).join(', '),
      ],
    ],
    notes: ['Pauses are those between two pieces of a turn: of all turns, those that nothing happened to included.'],
    faults,
    slow: [],
  };
}

async function isReady({ url }: Instance): Promise<boolean> {
  const response = await fetch(`${url}/ready`).catch(() => null);
  await response?.body?.cancel();
  return response?.status === 200;
}
