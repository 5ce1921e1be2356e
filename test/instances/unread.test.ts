import { expect, test } from 'vitest';
import type { RunCursor } from '../../src/log/cursor.ts';
import { weighBuffer } from '../../src/log/run-replays.ts';
import { followRun } from '../../src/runs/commands/follow.ts';
import { hasRedis, startRedis } from '../support/database/redis.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { type Instance, openInstances } from './open-instances.ts';

/** A text of four megabytes: a message has no more. */
const piece = 'word '.repeat(12_500);
const pieces = 64;
const length = pieces * piece.length;
/** What is kept of a run that all of its readers have read, at most, in bytes. */
const maxReadBytes = 256 * 1024;

/** A turn of `owner` that has said all but its last word, read at `elsewhere` by one who reads, and by one who has stopped. */
async function startTurn(owner: Instance, elsewhere: Instance, hasUnread: boolean) {
  const conversationId = await owner.alice.createConversation();
  const gate = createGate();
  owner.model.add({ text: [...Array.from({ length: pieces }, () => piece), 'end'], afterTokens: pieces, gate });
  const { startRun } = await owner.alice.ask('mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }', {
    input: { conversationId, content: 'Speak', idempotencyKey: 'k' },
  });
  const runId: string = startRun.id;
  const viewer = { userId: 'alice', tenantId: 'acme', roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const unread = hasUnread ? await followRun(viewer, elsewhere.app.runs, runId, 0) : null;
  await unread?.next();
  const reader = elsewhere.alice.runEvents('ws', runId);
  await reader.until(({ offset = 0, delta = '' }) => offset + delta.length === length);
  return { rowId: runId.slice('run_'.length), gate, reader, unread };
}

/** Reads until so many characters of text are there; null: to the end. @returns the text, from the first character on */
async function readText(cursor: RunCursor, until: number | null): Promise<string> {
  let text = '';
  while (until === null || text.length < until) {
    const { value } = await cursor.next();
    if (value === undefined) break;
    if (value.type === 'TextDelta') {
      expect(value.offset).toBe(text.length);
      text += value.delta;
    }
  }
  return text;
}

/** So many turns over each log, and what the live runs of a process may hold; of other instances, it may hold a quarter of that. */
const logs = [
  { log: 'the database', count: 2, maxLiveBytes: 16_000_000 },
  ...(hasRedis ? [{ log: 'Redis', count: 5, maxLiveBytes: 48_000_000 }] : []),
];

test.each(logs)(
  'Readers elsewhere that do not read what $count turns of 4 MB say, over $log, hold up nobody and little memory, and get all of it',
  async ({ log, count, maxLiveBytes }) => {
    await using redis = log === 'Redis' ? await startRedis() : null;
    const env = { LIVE_RUN_BYTES_PER_PROCESS: String(maxLiveBytes), ...(redis ? { REDIS_URL: redis.url } : {}) };
    await using instances = await openInstances(2, env);
    const [owner, elsewhere] = instances;
    if (!owner || !elsewhere) throw new Error('There are two.');
    const weigh = (rowId: string) => {
      const buffer = elsewhere.app.runs.log.find(rowId);
      return buffer ? weighBuffer(buffer) : 0;
    };
    const turns: Awaited<ReturnType<typeof startTurn>>[] = [];
    for (let turn = 0; turn < count; turn++) turns.push(await startTurn(owner, elsewhere, turn > 0));
    const [read, behind] = turns;
    // Who reads has had all of it by now, beside those who do not.
    const total = () => turns.reduce((sum, { rowId }) => sum + weigh(rowId), 0);
    await expect.poll(total).toBeLessThanOrEqual(maxLiveBytes / 4);
    await expect.poll(() => weigh(read?.rowId ?? '')).toBeLessThanOrEqual(maxReadBytes);
    expect(owner.app.runs.running.size).toBe(turns.length);

    // One goes on while its run does, the others when theirs have ended.
    const early = behind?.unread ? await readText(behind.unread, length) : '';
    expect(early).toBe(piece.repeat(pieces));
    for (const { gate, reader, unread } of turns) {
      gate.open();
      expect((await reader.rest()).at(-1)?.__typename).toBe('RunCompleted');
      if (unread && unread !== behind?.unread) expect(await readText(unread, null)).toBe(`${piece.repeat(pieces)}end`);
    }
    const last = [];
    for await (const event of behind?.unread ?? []) last.push(event);
    expect(last.at(-1)).toMatchObject({ type: 'RunCompleted' });
  },
);
