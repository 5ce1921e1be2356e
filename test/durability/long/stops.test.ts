import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { form, openRandom, report, seed } from '../form.ts';
import { type Fleet, openFleet } from './fleet.ts';
import { countOutcomes, type FollowedTurn, followTurn, isNotWhole, judgeTurn, type Verdict } from './follow.ts';

const stops = form === 'full' ? 20 : 1;
/** Longer than another instance needs to see that the lease is over. */
const stoppedMs = form === 'full' ? 25_000 : 18_000;
const turnMs = 2_000;
const turnsPerStop = 8;

test(`An instance that is stopped under load for longer than its lease does nothing twice when it goes on, whatever clocks say (seed ${seed})`, {
  timeout: stops * 240_000,
}, async () => {
  const random = openRandom(2);
  // A minute lies between the clocks of the two.
  await using fleet = await openFleet([{ skewMs: -30_000 }, { skewMs: 30_000 }]);
  const verdicts: Verdict[] = [];
  for (let stop = 1; stop <= stops; stop++) {
    // Each of the two is stopped in turn, and both have turns.
    const [victim, other] = stop % 2 ? fleet.instances : fleet.instances.toReversed();
    if (!victim || !other) throw new Error('An instance is missing.');
    const conversations = await Promise.all(Array.from({ length: turnsPerStop }, () => fleet.createConversation()));
    const turns = conversations.map((id, n) => followTurn(fleet, n % 4 === 3 ? other : victim, id, `stop ${stop}`));
    await sleep(random() * turnMs);
    process.kill(victim.server.pid ?? 0, 'SIGSTOP');
    await sleep(stoppedMs);
    process.kill(victim.server.pid ?? 0, 'SIGCONT');
    verdicts.push(...(await Promise.all(turns.map((turn) => judgeTurn(fleet, turn)))));
    expect(verdicts.filter(isNotWhole), `stop ${stop}, seed ${seed}`).toEqual([]);
  }
  const what = `SIGSTOP for ${stoppedMs / 1000} s, ${stops} times, clocks 60 s apart`;
  report([what, `${verdicts.length} turns`, countOutcomes(verdicts)]);
});

test('Clocks that are half a minute wrong end no turn, and take none from its owner', {
  timeout: 240_000,
}, async () => {
  await using fleet = await openFleet([{ skewMs: -30_000 }, { skewMs: 30_000 }]);
  const verdicts: Verdict[] = [];
  const rounds = form === 'full' ? 20 : 2;
  for (let round = 1; round <= rounds; round++) {
    const turns = await Promise.all(
      fleet.instances.map(async (instance) =>
        followTurn(fleet, instance, await fleet.createConversation(), `round ${round}`),
      ),
    );
    verdicts.push(...(await Promise.all(turns.map((turn) => judgeTurn(fleet, turn)))));
    // The processes do write different times.
    const [one = 0, other = 0] = await Promise.all(turns.map((turn) => readCreatedAt(fleet, turn)));
    expect(Math.abs(one - other)).toBeGreaterThan(30_000);
  }
  expect(verdicts.filter(({ outcome, faults }) => outcome !== 'COMPLETED' || faults.length > 0)).toEqual([]);
  report(['clocks 60 s apart', `${verdicts.length} turns`, countOutcomes(verdicts)]);
});

/** When a run was created, by the clock of the instance that was asked; in milliseconds. */
async function readCreatedAt({ instances }: Fleet, { events }: FollowedTurn): Promise<number> {
  const id = events[0]?.runId;
  const data = await instances[0]?.alice.ask('query ($id: ID!) { run(id: $id) { createdAt } }', { id });
  return Date.parse(data.run.createdAt);
}
