import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Harness, measureRound, type Report, startSystems } from '../harness.ts';
import { readMemory } from '../systems.ts';

const asked = { tokens: 200, perSecond: 50 };
const turns = 500;
/** What the heap may grow by from the second round to the last: 5 MB, and noise. */
const allowance = { bytes: 5 * 2 ** 20, part: 0.05 };

/** 500 turns at once, again and again: none may be lost, and memory has to come back. */
export async function measureFlood(harness: Harness): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const rounds = harness.quick ? 3 : 6;
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  const rows: string[][] = [];
  for (const system of await startSystems(harness, harness.databases, stack)) {
    const heaps: number[] = [];
    const idle = await readMemory(system);
    rows.push([`${system.name}, before`, '', '', '', '', megabytes(idle.rss), megabytes(idle.heapUsed)]);
    for (let count = 1; count <= rounds; count++) {
      const seen = await measureRound(harness, system, turns, asked);
      await harness.load.call('connect', [], z.int());
      await sleep(500);
      const { rss, heapUsed } = await readMemory(system);
      heaps.push(heapUsed);
      rows.push([
        `  round ${count}`,
        String(seen.turns),
        ((seen.cpuSeconds / seen.tokens) * 1e6).toFixed(1),
        seen.firstTokenMs.toFixed(0),
        seen.late99Ms.toFixed(0),
        megabytes(rss),
        megabytes(heapUsed),
      ]);
    }
    const [, second = 0] = heaps;
    const last = heaps.at(-1) ?? 0;
    if (last > second * (1 + allowance.part) + allowance.bytes) {
      throw new Error(`${system.name}: the heap grew from ${megabytes(second)} to ${megabytes(last)} MB.`);
    }
  }
  return {
    title: `flood: ${turns} turns at once, ${asked.tokens} tokens each, ${asked.perSecond} tokens/s`,
    columns: ['', 'whole turns', 'CPU µs/token', 'first token ms', 'late p99 ms', 'RSS MB', 'heap MB'],
    rows,
    notes: [
      'Memory after each round, when its sockets are closed, after a garbage collection. The RSS holds the embedded database.',
    ],
  };
}
