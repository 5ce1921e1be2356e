import { expect, test } from 'vitest';
import { form, openRandom, report, seed } from '../form.ts';
import { type Ask, buying, type Fleet, type Instance, openFleet, talking } from './fleet.ts';
import { countOutcomes, type FollowedTurn, followTurn, isNotWhole, judgeTurn, type Verdict } from './follow.ts';

// Two turns, the second in the queue behind the first, each with a call that a person approves: their process is killed
// when it sends its n-th statement, for each n. So it dies between any two of them: at the start, a checkpoint, a call, its
// result, a message, the pause, the approval, the promotion, the end.

/** So many processes at the same time. */
const batch = 4;

/** What a process sends to change something. What it only reads leaves nothing behind. */
const writes = /^\s*(BEGIN|COMMIT|WITH|INSERT|UPDATE|DELETE)\b/;

/** Starts the turns on an instance whose process is killed with its n-th statement. */
function playAndKill(fleet: Fleet, victim: Instance, conversationId: string, at: number, ask: Ask = buying) {
  const killed = Promise.withResolvers<unknown>();
  let count = 0;
  victim.proxy.onStatement = (sql) => {
    if (writes.test(sql)) count += 1;
    if (count < at) return 'pass';
    // It comes too late for what was sent before, and nothing is sent after it.
    killed.resolve(victim.server.end('SIGKILL'));
    return 'drop';
  };
  const turns = ['first', 'second'].map((key) => followTurn(fleet, victim, conversationId, key, ask));
  const ended = Promise.all(turns.map((turn) => turn.ended));
  return { turns, count: () => count, over: Promise.race([killed.promise, ended]) };
}

/** How many statements the turns and the background jobs beside them take on an instance that lives. */
async function countStatements(fleet: Fleet, ask: Ask = buying): Promise<number> {
  const instance = await startApart(fleet);
  const { over, count } = playAndKill(fleet, instance, await fleet.createConversation(), Infinity, ask);
  await over;
  const statements = count();
  await instance.server.end('SIGKILL');
  return statements;
}

/** An instance to which no client comes back. */
async function startApart(fleet: Fleet): Promise<Instance> {
  const instance = await fleet.start();
  fleet.instances.splice(fleet.instances.indexOf(instance), 1);
  return instance;
}

/** Where the processes are killed: everywhere, or in the short form at some places that the seed chooses. */
function listPlaces(statements: number): number[] {
  const all = Array.from({ length: statements }, (_, index) => index + 1);
  if (form === 'full') return all;
  const few = 4;
  const from = openRandom(21)();
  return Array.from({ length: few }, (_, n) => all[Math.floor(((n + from) / few) * all.length)] ?? 1);
}

/** Both, or in the short form the one that the seed chooses. */
const modes = (['two instances', 'one instance'] as const).filter((_, index) => form === 'full' || index === seed % 2);

test.each(modes)(
  `A process that is killed between any two statements leaves nothing undone, and nothing that is done twice: %s (seed ${seed})`,
  { timeout: form === 'full' ? 3_600_000 : 240_000 },
  async (how) => {
    await using fleet = await openFleet([{}], true);
    const places = listPlaces(await countStatements(fleet));
    const turns: FollowedTurn[] = [];
    const verdicts: Verdict[] = [];
    for (let from = 0; from < places.length; from += batch) {
      const some = places.slice(from, from + batch);
      const conversations = await Promise.all(some.map(() => fleet.createConversation()));
      const victims = await Promise.all(some.map(() => startApart(fleet)));
      // With one instance, it is the next start that goes on.
      const before = how === 'one instance' ? fleet.instances.splice(0) : [];
      await Promise.all(before.map(({ server }) => server.end('SIGTERM')));
      const played = some.map((at, index) => {
        const [victim, id] = [victims[index], conversations[index]];
        if (!victim || id === undefined) throw new Error('There is no instance for it.');
        return playAndKill(fleet, victim, id, at);
      });
      if (how === 'one instance') {
        await Promise.all(played.map(({ over }) => over));
        await fleet.start();
      }
      turns.push(...played.flatMap(({ turns: both }) => both));
    }
    verdicts.push(...(await Promise.all(turns.map((turn) => judgeTurn(fleet, turn)))));
    expect(verdicts.filter(isNotWhole), `seed ${seed}`).toEqual([]);
    const what = `killed at each of ${places.length} statements, ${how}`;
    report([what, `${verdicts.length} turns`, countOutcomes(verdicts)]);
  },
);

test('Turns of one step whose process is killed at any of their statements are carried out once, with one answer each', {
  timeout: 600_000,
}, async () => {
  await using fleet = await openFleet([{}]);
  // One more than there are: the process lives on.
  const statements = (await countStatements(fleet, talking)) + 1;
  const turns: FollowedTurn[] = [];
  for (let at = 1; at <= statements; at++) {
    const victim = await startApart(fleet);
    const { turns: both, over } = playAndKill(fleet, victim, await fleet.createConversation(), at, talking);
    await over;
    turns.push(...both);
  }
  const verdicts = await Promise.all(turns.map((turn) => judgeTurn(fleet, turn)));
  expect(verdicts.filter(isNotWhole)).toEqual([]);
  report([
    `turns of one step, killed at each of ${statements} statements`,
    `${verdicts.length} turns`,
    countOutcomes(verdicts),
  ]);
});
