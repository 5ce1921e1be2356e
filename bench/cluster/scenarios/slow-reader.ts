import { z } from 'zod';
import { memory } from '../../probe-figures.ts';
import { percentile } from '../../statistics.ts';
import type { Cluster, Instance } from '../cluster.ts';
import { listFaults, mebibytes, ms, type Outcome } from '../outcome.ts';
import { type SeenTurn, seenTurn } from '../seen-turn.ts';
import { findRun } from './find-run.ts';

/** What an instance may hold more because of a reader that does not read, in bytes. */
const maxGrowth = 32 * 2 ** 20;
const unread = z.object({ faults: z.array(z.string()), errors: z.array(z.string()), reconnects: z.int() });

/** A message has at most 4 Mi characters: so many turns at once say 20 MB. */
const turns = 5;

/** Readers that do not read while 20 MB are produced, at each instance: nobody pays for them, and they can go on. */
export async function measureSlowReader(cluster: Cluster): Promise<Outcome> {
  const { load, short } = cluster;
  const instances = await Promise.all([cluster.start(), cluster.start()]);
  const [here, there] = instances;
  const urls = instances.map(({ url }) => url);
  await load.call('ready', urls, z.unknown());
  const speech = { pieces: 2_000, bytes: 2_048, perSecond: short ? 400 : 160 };
  const turnMs = (speech.pieces * 1000) / speech.perSecond;
  const faults: string[] = [];

  /** Turns of 20 MB, and readers that read them beside those that do not. */
  const produce = async (withUnread: boolean) => {
    const talks = await cluster.createConversations(here, turns);
    const started = talks.map((talk) =>
      load.call('turn', { ...talk, speech, start: here.url, readers: [there.url], stay: true }, seenTurn),
    );
    const reading = talks.map(async (talk) => {
      if (!withUnread) return [];
      const runId = await findRun(here, talk);
      const paused = { token: talk.token, runId, speech, pausedMs: turnMs + (short ? 6_000 : 12_000) };
      return Promise.all(urls.map((url) => load.call('unread', { ...paused, url }, unread)));
    });
    const seen = await Promise.all(started);
    faults.push(...listFaults(seen));
    const held = await Promise.all(instances.map(readHeldAfterGc));
    const came = (await Promise.all(reading)).flat();
    faults.push(...came.flatMap((one) => [...one.faults, ...one.errors]));
    return { seen, held, reconnects: came.reduce((sum, one) => sum + one.reconnects, 0) };
  };

  // What such turns cost by themselves is there before and after.
  if (!short) await produce(false);
  const before = await produce(false);
  const after = await produce(true);
  await Promise.all(instances.map((instance) => instance.stop()));
  const rows = instances.map((_, index) => {
    const growth = (after.held[index] ?? 0) - (before.held[index] ?? 0);
    if (growth >= maxGrowth)
      faults.push(`An instance holds ${mebibytes(growth)} more because of a reader that does not read.`);
    return [
      ['at the instance that runs it', 'at the other instance'][index] ?? '',
      mebibytes(before.held[index] ?? 0),
      mebibytes(growth),
      delayOf(before.seen, index),
      delayOf(after.seen, index),
    ];
  });
  return {
    title: 'A reader that does not read while 20 MB are produced',
    columns: ['', 'memory without it', 'with it', 'p99 delay of others without it', 'with it'],
    rows,
    notes: [
      `Memory is what heap and buffers hold after a garbage collection, when the turns are over. They read the rest, ${after.reconnects} of ${2 * turns} with a new connection.`,
    ],
    faults,
    slow: [],
  };
}

/** Bytes of the heap and of buffers, when garbage is collected. */
async function readHeldAfterGc({ child }: Instance): Promise<number> {
  await child.call('memory', null, memory);
  const { heapUsed, external } = await child.call('memory', null, memory);
  return heapUsed + external;
}

function delayOf(seen: readonly SeenTurn[], index: number): string {
  const late = seen.flatMap(({ readers }) => readers[index]?.lateMs ?? []);
  return ms(percentile(late, 0.99));
}
