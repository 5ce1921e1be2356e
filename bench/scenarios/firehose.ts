import { type Harness, interleave, type Report, startSystems } from '../harness.ts';
import { median } from '../statistics.ts';

/** Turns as fast as the endpoint can: tokens per CPU second, against day-one. */
export async function measureFirehose(harness: Harness): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const [turns, tokens, rounds] = harness.quick ? [10, 2_000, 2] : [10, 10_000, 5];
  const systems = await startSystems(harness, ['limit', 'day-one', ...harness.databases], stack);
  const measured = await interleave(harness, systems, rounds, turns, { tokens, perSecond: 0 });
  const dayOne = measured.get('day-one') ?? [];

  const rows = [...measured].map(([name, list]) => [
    name,
    Math.round(median(list.map((one) => one.tokens / one.cpuSeconds))).toLocaleString('en'),
    median(list.map((one, place) => (dayOne[place]?.cpuSeconds ?? Number.NaN) / one.cpuSeconds)).toFixed(1),
    median(list.map((one) => one.tokens / one.deltas)).toFixed(1),
    median(list.map((one) => one.totalMs)).toFixed(0),
  ]);
  return {
    title: `firehose: ${turns} turns at once, ${tokens} tokens each, as fast as the endpoint can`,
    columns: ['', 'tokens/CPU s', '× day-one', 'tokens/event', 'turn ms'],
    rows,
    notes: [
      `Medians of ${rounds} interleaved rounds. Every token was checked, in order. CPU as in paced, the start and the end of each turn included.`,
    ],
  };
}
