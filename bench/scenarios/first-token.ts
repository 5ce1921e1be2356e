import { z } from 'zod';
import { type Harness, type Report, startSystems } from '../harness.ts';
import { round } from '../round.ts';
import { median, percentile } from '../statistics.ts';
import type { System } from '../systems.ts';

const asked = { tokens: 5, perSecond: 50 };
const warmUps = 10;

/** One turn after another on each system, in turns: milliseconds to the first token, also of the endpoint itself. */
export async function timeFirstTokens(harness: Harness, systems: readonly System[]) {
  const turns = harness.quick ? 20 : 100;
  const direct: number[] = [];
  const times = new Map<string, number[]>(systems.map(({ name }) => [name, []]));
  for (let turn = 0; turn < warmUps + turns; turn++) {
    const own = await harness.load.call('askEndpoint', { url: harness.endpointUrl, asked }, z.number());
    if (turn >= warmUps) direct.push(own);
    for (const system of systems) {
      await harness.load.call('connect', await system.prepareSlots(1), z.int());
      const { firstTokenMs } = await harness.load.call('run', asked, round);
      if (turn >= warmUps) times.get(system.name)?.push(firstTokenMs);
    }
  }
  return { turns, direct, times };
}

/** One turn after another: how much later than from the endpoint itself the first token comes. */
export async function measureFirstToken(harness: Harness): Promise<Report> {
  await using stack = new AsyncDisposableStack();
  const systems = await startSystems(harness, ['limit', 'agents-sdk', 'day-one', ...harness.databases], stack);
  const { turns, direct, times } = await timeFirstTokens(harness, systems);
  const base = median(direct);
  const rows = [...times].map(([name, list]) => [
    name,
    median(list).toFixed(2),
    (median(list) - base).toFixed(2),
    (percentile(list, 0.9) - base).toFixed(2),
  ]);
  return {
    title: 'first token: one turn after another, each in a new conversation',
    columns: ['', 'median ms', 'added ms', 'added p90 ms'],
    rows: [['endpoint', base.toFixed(2), '', ''], ...rows],
    notes: [`${turns} turns each, in turns. From the client's request to the first token, on a socket that is open.`],
  };
}
