import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { DatabaseProxy } from '../../support/database/proxy.ts';
import { form, openRandom, type Random, report, seed } from '../form.ts';
import { type Fleet, openFleet } from './fleet.ts';
import { countOutcomes, type FollowedTurn, followTurn, isNotWhole, judgeTurn, type Verdict } from './follow.ts';

// One instance that lives, and a database that goes away in all ways: an outage costs time, and nothing else.

const room = { timeout: form === 'full' ? 3_600_000 : 240_000 };
const conversationsPerRound = form === 'full' ? 10 : 8;

/** Two turns in each of some conversations, the second behind the first; each of them asks a person. */
async function startTurns(fleet: Fleet, round: number): Promise<FollowedTurn[]> {
  const [instance] = fleet.instances;
  if (!instance) throw new Error('No instance lives.');
  const ids = await Promise.all(Array.from({ length: conversationsPerRound }, () => fleet.createConversation()));
  return ids.flatMap((id) => [
    followTurn(fleet, instance, id, `first of ${round}`),
    followTurn(fleet, instance, id, `second of ${round}`),
  ]);
}

/** Plays rounds of turns while something is wrong with the database, and judges them when all is well again. */
async function playRounds(
  rounds: number,
  disturb: (proxy: DatabaseProxy, ended: Promise<unknown>) => Promise<void>,
): Promise<Verdict[]> {
  await using fleet = await openFleet([{}], true);
  const verdicts: Verdict[] = [];
  for (let round = 1; round <= rounds; round++) {
    const turns = await startTurns(fleet, round);
    const ended = Promise.allSettled(turns.map((turn) => turn.ended));
    const proxy = fleet.instances[0]?.proxy;
    if (proxy) await disturb(proxy, ended);
    await ended;
    const judged = await Promise.all(turns.map((turn) => judgeTurn(fleet, turn)));
    expect(
      judged.filter((verdict) => isNotWhole(verdict) || verdict.outcome !== 'COMPLETED'),
      `round ${round}, seed ${seed}`,
    ).toEqual([]);
    verdicts.push(...judged);
  }
  return verdicts;
}

test(
  `Answers to COMMIT that are lost at random cost no turn, no decision and no second call (seed ${seed})`,
  room,
  async () => {
    const random = openRandom(11);
    let lost = 0;
    const verdicts = await playRounds(form === 'full' ? 25 : 1, async (proxy, ended) => {
      proxy.onStatement = (sql) => {
        if (sql !== 'COMMIT' || random() > 0.3) return 'pass';
        lost += 1;
        // Carried out or not: the client cannot tell.
        return random() < 0.7 ? 'drop answer' : 'drop';
      };
      await ended;
      proxy.onStatement = null;
    });
    expect(lost).toBeGreaterThan(0);
    report([`${lost} lost COMMITs`, `${verdicts.length} turns`, countOutcomes(verdicts)]);
  },
);

test(`A database that is paused and cut at random costs time only (seed ${seed})`, room, async () => {
  const random = openRandom(12);
  let outages = 0;
  const verdicts = await playRounds(form === 'full' ? 30 : 1, async (proxy, ended) => {
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    while (!isOver) {
      await sleep(random() * 2_000);
      await takeAway(proxy, random);
      outages += 1;
    }
  });
  expect(outages).toBeGreaterThan(0);
  report([`${outages} outages at random`, `${verdicts.length} turns`, countOutcomes(verdicts)]);
});

/** Takes the database away in some way, for up to three seconds. */
async function takeAway(proxy: DatabaseProxy, random: Random): Promise<void> {
  const awayMs = random() * 3_000;
  const ways: readonly (() => Promise<void>)[] = [
    async () => {
      proxy.cut();
      await sleep(awayMs);
      proxy.restore();
    },
    async () => {
      proxy.freeze();
      await sleep(awayMs);
      proxy.thaw();
    },
    async () => proxy.reset(),
    async () => proxy.silence(),
  ];
  await ways[Math.floor(random() * ways.length)]?.();
}
