import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { median } from '../../statistics.ts';
import type { Cluster, Instance } from '../cluster.ts';
import { listFaults, type Outcome, seconds } from '../outcome.ts';
import { type SeenTurn, seenTurn } from '../seen-turn.ts';

/** So many instances are killed at about the same time: a kill takes as long as a lease. */
const atOnce = 6;
/** When the next instances are started, in milliseconds: those before them are dead by then. */
const nextMs = 5_000;
/** The part of the text after which nobody is killed: the rest is to be long enough to be seen live. */
const maxPart = 0.6;
/** How many deltas of the new owner a reader has to be given one by one, and not as what is left at the end. */
const minLiveDeltas = 10;

/**
 * kill -9 of the instance that carries a turn out, at a random moment. The readers at the other instance have to see the
 * rest live.
 */
export async function measureKills(cluster: Cluster): Promise<Outcome> {
  const { short, load } = cluster;
  const kills = short ? 2 : 100;
  const speech = { pieces: 120, bytes: 6, perSecond: 30 };
  const survivor = await cluster.start();
  await load.call('ready', [survivor.url], z.unknown());
  const pauses: number[] = [];
  const faults: string[] = [];
  let live = 0;
  let told = 0;

  const killOne = async (victim: Instance, moment: number) => {
    const talks = await cluster.createConversations(survivor, 2);
    const turns = talks.map((talk) =>
      load.call('turn', { ...talk, speech, start: victim.url, readers: [survivor.url], stay: false }, seenTurn),
    );
    // After their first token, and long before their last one.
    const pieces = Math.ceil(1 + moment * speech.pieces * maxPart);
    await Promise.all(talks.map(({ conversationId }) => load.call('reached', { conversationId, pieces }, z.int())));
    victim.child.kill();
    const killedAt = Date.now();
    const seen = await Promise.all(turns);
    faults.push(...listFaults(seen));
    for (const turn of seen) judge(turn, killedAt);
    await victim.stop();
  };
  const judge = ({ readers }: SeenTurn, killedAt: number) => {
    for (const [index, { deltaTimes }] of readers.entries()) {
      const before = deltaTimes.findLast((at) => at <= killedAt) ?? killedAt;
      const after = deltaTimes.filter((at) => at > killedAt + 500);
      if (after[0] !== undefined) pauses.push(after[0] - before);
      if (index === 0) continue;
      told += 1;
      if (after.length >= minLiveDeltas) live += 1;
      else faults.push(`A reader was given the rest of a turn in ${after.length} pieces: not live.`);
    }
  };

  const startVictims = (done: number) =>
    Promise.all(Array.from({ length: Math.min(atOnce, kills - done) }, () => cluster.start()));
  let victims = await startVictims(0);
  for (let done = 0; done < kills; done += atOnce) {
    const killing = Promise.all(victims.map((victim) => killOne(victim, Math.random())));
    // The next ones start while the readers of these wait for a lease to end.
    const [next] = await Promise.all([sleep(nextMs).then(() => startVictims(done + atOnce)), killing]);
    victims = next;
  }
  await survivor.stop();
  return {
    title: `kill -9 of the owner in the middle of a turn, ${kills} times, with readers at the other instance`,
    columns: ['kills', 'turns', 'readers that saw the rest live', 'pause p50', 'longest pause'],
    rows: [[`${kills}`, `${2 * kills}`, `${live} of ${told}`, seconds(median(pauses)), seconds(Math.max(...pauses))]],
    notes: ['The pause is the lease of the dead process (10 s), and the first token of the step that is tried again.'],
    faults,
    slow: [],
  };
}
