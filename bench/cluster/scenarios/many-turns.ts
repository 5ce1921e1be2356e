import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { percentile } from '../../statistics.ts';
import { type Cluster, type Instance, users } from '../cluster.ts';
import { listFaults, ms, type Outcome } from '../outcome.ts';
import { seenTurn } from '../seen-turn.ts';

/** What the p99 of the added delay may be, in milliseconds. */
const maxDelayMs = 250;
/** How often, and how many milliseconds each time, sockets are waited for that hear nothing yet. */
const maxRounds = 20;
const roundMs = 500;

/**
 * Sockets over two instances, and turns at once: each is read at the instance that it was started at and at the other one.
 * All other sockets hear of what happens in their users' conversations.
 */
export async function measureManyTurns(cluster: Cluster): Promise<Outcome> {
  const { short, load } = cluster;
  const [sockets, turns, pieces] = short ? [200, 40, 100] : [1_000, 200, 400];
  const speech = { pieces, bytes: 6, perSecond: 50 };
  const instances = await Promise.all([cluster.start(), cluster.start()]);
  const urls = instances.map(({ url }) => url);
  await load.call('ready', urls, z.unknown());
  const talks = await cluster.createConversations(instances[0], turns);
  const others = sockets - 2 * turns;
  const tokens = Array.from({ length: others }, (_, n) => talks[n % turns]?.token ?? '');
  const held = await load.call('hold', { urls, tokens }, z.int());
  const heard = await awaitHearing(cluster, instances[0], others);
  const seen = await Promise.all(
    talks.map((talk, n) => {
      const [start, other] = n % 2 ? urls : urls.toReversed();
      return load.call('turn', { ...talk, speech, start, readers: [other], stay: true }, seenTurn);
    }),
  );
  const left = await load.call('release', null, z.int());
  await Promise.all(instances.map((instance) => instance.stop()));
  const places = ['at the instance that runs it', 'at the other instance'];
  const delays = places.map((_, index) => seen.flatMap(({ readers }) => readers[index]?.lateMs ?? []));
  const rows = places.map((place, index) => {
    const late = delays[index] ?? [];
    return [
      place,
      `${late.length}`,
      ms(percentile(late, 0.5)),
      ms(percentile(late, 0.99)),
      ms(Math.max(...[percentile(late, 0.9999)])),
    ];
  });
  const reconnects = seen.flatMap(({ readers }) => readers).reduce((sum, one) => sum + one.reconnects, 0);
  const faults = listFaults(seen);
  if (held !== others || left !== others)
    faults.push(`Of ${others} other sockets, ${held} opened and ${left} stayed open.`);
  if (heard < others) faults.push(`Of ${others} other sockets, ${others - heard} heard nothing of their users.`);
  if (reconnects > 0) faults.push(`${reconnects} sockets of readers were closed.`);
  const p99 = percentile(delays.flat(), 0.99);
  return {
    title: `${sockets} sockets over 2 instances, ${turns} turns at once at 50 tokens/s, each read at both`,
    columns: ['added delay per token', 'tokens', 'p50', 'p99', 'p99.99'],
    rows,
    notes: ['Delay against the most punctual token of the same turn that any of its readers was given.'],
    faults,
    slow: p99 < maxDelayMs ? [] : [`The p99 of the added delay is ${ms(p99)}, not less than ${maxDelayMs} ms.`],
  };
}

/**
 * Creates conversations until all held sockets have heard of one: the turns are measured with sockets that hear, and not
 * while hundreds of them subscribe.
 * @returns how many have
 */
async function awaitHearing({ load, createConversations }: Cluster, at: Instance, sockets: number): Promise<number> {
  let heard = 0;
  for (let round = 0; round < maxRounds && heard < sockets; round++) {
    // One of each user.
    await createConversations(at, users);
    await sleep(roundMs);
    heard = await load.call('hearing', null, z.int());
  }
  return heard;
}
