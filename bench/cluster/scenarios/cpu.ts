import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { cpu } from '../../probe-figures.ts';
import { median } from '../../statistics.ts';
import type { Cluster, Instance } from '../cluster.ts';
import { listFaults, ms, type Outcome } from '../outcome.ts';
import { seenTurn } from '../seen-turn.ts';

/** How many times the CPU of the memory log the Redis log may cost. */
const maxRatio = 1.5;
/** How long a server may go on with a round after its clients have seen the end of it, in milliseconds. */
const afterwardsMs = 500;

/** What a round cost, in milliseconds of CPU. */
interface Cost {
  readonly server: number;
  readonly redis: number;
  readonly database: number;
}

/** The CPU of turns with the memory log and with the Redis log: one instance each, measured in turns. */
export async function measureCpu(cluster: Cluster): Promise<Outcome> {
  const { short, load } = cluster;
  const [rounds, turns, pieces] = short ? [1, 10, 50] : [5, 100, 200];
  const speech = { pieces, bytes: 6, perSecond: 50 };
  const names = ['memory log', 'Redis log', 'Redis log, read at the other instance'] as const;
  const starting = [cluster.start({ REDIS_URL: '' }), cluster.start(), cluster.start()] as const;
  const [memory, redis, other] = await Promise.all(starting);
  await load.call(
    'ready',
    [memory, redis, other].map(({ url }) => url),
    z.unknown(),
  );
  const faults: string[] = [];
  const setups: readonly { readonly at: Instance; readonly from: Instance }[] = [
    { at: memory, from: memory },
    { at: redis, from: redis },
    { at: redis, from: other },
  ];
  const costs: Cost[][] = setups.map(() => []);

  const runRound = async ({ at, from }: (typeof setups)[number]): Promise<Cost> => {
    const talks = await cluster.createConversations(at, turns);
    await sleep(afterwardsMs);
    const involved = at === from ? [at] : [at, from];
    const before = await readCosts(cluster, involved);
    const readers = at === from ? [] : [from.url];
    const seen = await Promise.all(
      talks.map((talk) => load.call('turn', { ...talk, speech, start: at.url, readers, stay: true }, seenTurn)),
    );
    await sleep(afterwardsMs);
    const after = await readCosts(cluster, involved);
    faults.push(...listFaults(seen));
    return {
      server: after.server - before.server,
      redis: after.redis - before.redis,
      database: after.database - before.database,
    };
  };
  // The first round of each is not counted: it compiles.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, setup] of setups.entries()) {
      const cost = await runRound(setup);
      if (round > 0) costs[index]?.push(cost);
    }
  }
  await Promise.all([memory, redis, other].map((instance) => instance.stop()));
  const of = (index: number, what: keyof Cost) => median((costs[index] ?? []).map((cost) => cost[what]));
  const base = of(0, 'server');
  const rows = names.map((name, index) => {
    // Who reads at the other instance is delivered to as well.
    const delivered = turns * pieces * (index === 2 ? 2 : 1);
    const server = of(index, 'server');
    return [
      name,
      ms(server / turns),
      `${((server * 1000) / delivered).toFixed(0)} µs`,
      ms(of(index, 'redis') / turns),
      ms(of(index, 'database') / turns),
      index === 0 ? '' : `${(server / base).toFixed(2)}`,
    ];
  });
  const ratio = of(1, 'server') / base;
  return {
    title: `CPU of ${turns} turns at once of ${pieces} tokens at 50 tokens/s`,
    columns: [
      '',
      'per turn',
      'per delivered token',
      "Redis' per turn",
      "PostgreSQL's per turn",
      'times the memory log',
    ],
    rows,
    notes: ['The third row is the CPU of both instances; each token is delivered twice.'],
    faults,
    slow:
      ratio <= maxRatio
        ? []
        : [`The Redis log costs ${ratio.toFixed(2)} times the memory log, not at most ${maxRatio}.`],
  };
}

async function readCosts(cluster: Cluster, instances: readonly Instance[]): Promise<Cost> {
  const used = await Promise.all(instances.map(({ child }) => child.call('cpu', null, cpu)));
  const server = used.reduce((sum, one) => sum + one.process, 0) * 1000;
  return { server, redis: cluster.redis.readCpu() * 1000, database: cluster.readDatabaseCpu() * 1000 };
}
