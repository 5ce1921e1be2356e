import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { form, openRandom, report, seed } from '../form.ts';
import { openFleet } from './fleet.ts';
import { countOutcomes, followTurn, isNotWhole, judgeTurn, type Verdict } from './follow.ts';

const kills = form === 'full' ? 100 : 2;
/** So many fleets at the same time: a kill takes as long as a lease. */
const lanes = form === 'full' ? 2 : 1;
/** A turn takes so long, in milliseconds, from its start to its end. */
const turnMs = 2_000;
const turnsPerKill = 4;

test(`An instance that is killed at a random moment loses no turn, ends none twice, and calls no tool twice (seed ${seed})`, {
  timeout: kills * 120_000,
}, async () => {
  const found = await Promise.all(Array.from({ length: lanes }, (_, lane) => killAndJudge(lane, kills / lanes)));
  const verdicts = found.flatMap((lane) => lane.verdicts);
  const longest = Math.max(...found.map(({ longestMs }) => longestMs));
  const what = `kill -9 at ${kills} random moments of two instances`;
  report([what, `${verdicts.length} turns`, `${countOutcomes(verdicts)}; ended at most ${toSeconds(longest)} s later`]);
});

const toSeconds = (ms: number) => (ms / 1_000).toFixed(1);

/** Kills the older of two instances again and again, and starts another. */
async function killAndJudge(lane: number, count: number) {
  const random = openRandom(lane + 1);
  await using fleet = await openFleet([{}, {}]);
  const verdicts: Verdict[] = [];
  let longestMs = 0;
  for (let kill = 1; kill <= count; kill++) {
    const [victim] = fleet.instances;
    if (!victim) throw new Error('No instance lives.');
    const conversations = await Promise.all(Array.from({ length: turnsPerKill }, () => fleet.createConversation()));
    const turns = conversations.map((id) => followTurn(fleet, victim, id, `kill ${kill}`));
    await sleep(random() * turnMs);
    fleet.instances.shift();
    await victim.server.end('SIGKILL');
    const killedAt = performance.now();
    await Promise.allSettled(turns.map(({ ended }) => ended));
    longestMs = Math.max(longestMs, performance.now() - killedAt);
    const judged = await Promise.all(turns.map((turn) => judgeTurn(fleet, turn)));
    expect(judged.filter(isNotWhole), `lane ${lane}, kill ${kill}, seed ${seed}`).toEqual([]);
    verdicts.push(...judged);
    if (kill < count) await fleet.start();
  }
  return { verdicts, longestMs };
}
