import { type Harness, interleave, type Report, startSystems } from '../harness.ts';
import { median } from '../statistics.ts';

/** 100 turns at once at 50 tokens a second: server CPU per token, against the limit. */
export async function measurePaced(harness: Harness): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const [turns, tokens, rounds] = harness.quick ? [100, 150, 2] : [100, 500, 5];
  const systems = await startSystems(harness, ['limit', 'day-one', ...harness.databases], stack);
  const measured = await interleave(harness, systems, rounds, turns, { tokens, perSecond: 50 });
  const limit = measured.get('limit') ?? [];

  const rows = [...measured].map(([name, list]) => [
    name,
    (median(list.map((one) => one.cpuSeconds / one.tokens)) * 1e6).toFixed(1),
    (median(list.map((one) => one.mainThreadSeconds / one.tokens)) * 1e6).toFixed(1),
    median(list.map((one, place) => one.cpuSeconds / (limit[place]?.cpuSeconds ?? Number.NaN))).toFixed(2),
    median(list.map((one) => one.tokens / one.deltas)).toFixed(2),
    median(list.map((one) => one.firstTokenMs)).toFixed(0),
    median(list.map((one) => one.lateMedianMs)).toFixed(1),
    median(list.map((one) => one.late99Ms)).toFixed(1),
  ]);
  return {
    title: `paced: ${turns} turns at once, ${tokens} tokens each, 50 tokens/s`,
    columns: [
      '',
      'CPU µs/token',
      'main thread',
      '× limit',
      'tokens/event',
      'first token ms',
      'late p50 ms',
      'late p99 ms',
    ],
    rows,
    notes: [
      `Medians of ${rounds} interleaved rounds; the ratio is the median of the ratios of the rounds.`,
      'CPU is that of the server process from the first request to after the last event, with the process of the embedded database if there is one; a PostgreSQL server is not in it.',
      'late: after the rhythm of the stream, as the client sees it; the endpoint and the client are part of it.',
    ],
  };
}
