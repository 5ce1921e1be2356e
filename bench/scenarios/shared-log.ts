import { Redis } from 'ioredis';
import { type Harness, interleave, type Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { median } from '../statistics.ts';
import { startSwitchboard } from '../switchboard.ts';

/** What the Redis of REDIS_URL costs the instance that carries turns out, whose readers it does not serve. */
export async function measureSharedLog(harness: Harness): Promise<Report> {
  const url = process.env.REDIS_URL;
  if (harness.databaseUrl === null || !url) throw new Error('Set DATABASE_URL and REDIS_URL.');
  await using stack = new AsyncDisposableStack();
  const prefix = `bench-${crypto.randomUUID()}:`;
  const settings = { ...harness.settings, REDIS_URL: url, REDIS_PREFIX: prefix };
  const memory = stack.use(await startSwitchboard('postgresql', harness, { probe }));
  const shared = stack.use(await startSwitchboard('postgresql', { ...harness, settings }, { probe }));
  stack.defer(() => deleteKeys(url, prefix));
  const systems = [
    { ...memory, name: 'memory' },
    { ...shared, name: 'Redis' },
  ];
  const [turns, tokens, rounds] = harness.quick ? [50, 150, 2] : [100, 200, 5];
  const paced = await interleave(harness, systems, rounds, turns, { tokens, perSecond: 50 });
  const rows = systems.map(({ name }) => {
    const list = paced.get(name) ?? [];
    const ofMemory = paced.get('memory') ?? [];
    return [
      name,
      (median(list.map(({ cpuSeconds }) => cpuSeconds / turns)) * 1e3).toFixed(2),
      (median(list.map((one) => one.cpuSeconds / one.tokens)) * 1e6).toFixed(1),
      median(list.map((one, place) => one.cpuSeconds / (ofMemory[place]?.cpuSeconds ?? Number.NaN))).toFixed(2),
      median(list.map((one) => one.tokens / one.deltas)).toFixed(2),
      median(list.map(({ late99Ms }) => late99Ms)).toFixed(1),
    ];
  });
  return {
    title: `shared-log: ${turns} turns at once, ${tokens} tokens each, 50 tokens/s, read where they run`,
    columns: ['', 'CPU ms/turn', 'CPU µs/token', '× memory', 'tokens/event', 'late p99 ms'],
    rows,
    notes: [`Medians of ${rounds} interleaved rounds; the ratio is the median of the ratios of the rounds.`],
  };
}

async function deleteKeys(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url);
  for await (const keys of redis.scanStream({ match: `${prefix}*` })) if (keys.length > 0) await redis.unlink(keys);
  redis.disconnect();
}
