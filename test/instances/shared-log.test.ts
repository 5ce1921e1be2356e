import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { openRedis as openLimits } from '../../src/limits/redis.ts';
import { RunCursor } from '../../src/log/cursor.ts';
import type { RunEvent, RunEventPayload } from '../../src/log/event.ts';
import { RunEventBuffer } from '../../src/log/event-buffer.ts';
import { LiveRunLogs } from '../../src/log/live-logs.ts';
import { applyPiece, cutPiece, type LogPiece } from '../../src/log/piece.ts';
import { openConnection } from '../../src/log/redis/connection.ts';
import { RedisLog } from '../../src/log/redis/redis-log.ts';
import type { Notice } from '../../src/log/shared-log.ts';
import { hasRedis, startRedis } from '../support/database/redis.ts';

const runId = crypto.randomUUID();
const text = (delta: string, offset: number): RunEventPayload => ({ type: 'TextDelta', messageId: 'm', offset, delta });

/** An owner of a run, and a reader elsewhere. */
interface Log extends AsyncDisposable {
  readonly owner: LiveRunLogs;
  readonly reader: RunEventBuffer;
}

/** One process: the reader reads what the owner writes. */
async function openMemory(): Promise<Log> {
  const owner = new LiveRunLogs();
  return { owner, reader: owner.open(runId), [Symbol.asyncDispose]: async () => {} };
}

/** Pieces are cut and applied, as they are through the database. */
async function openPieces(): Promise<Log> {
  const owner = new LiveRunLogs();
  const reader = new RunEventBuffer(runId);
  let after = 0;
  const hand = () => {
    owner.open(runId).onAppend(hand);
    for (let piece = cutPiece(owner.open(runId), { after, epoch: 1 }); piece; ) {
      expect(applyPiece(reader, piece)).toBe(true);
      after = piece.lastSeq;
      piece = cutPiece(owner.open(runId), { after, epoch: 1 });
    }
  };
  hand();
  return { owner, reader, [Symbol.asyncDispose]: async () => {} };
}

const logger = pino({ level: 'silent' });

/** A Redis log of one instance, whose pieces are applied to one buffer. */
function openRedisLog(url: string, buffer = new RunEventBuffer(runId)) {
  const log = new RedisLog({ url, prefix: 'test:', logger, maxEvents: 1_000 });
  const notices: Notice[] = [];
  const taken: LogPiece[] = [];
  let known = 0;
  log.read({
    take(_id, pieces) {
      for (const piece of pieces) {
        taken.push(piece);
        if (piece.epoch < known) continue;
        if (!applyPiece(buffer, piece)) return false;
        known = piece.epoch;
      }
      return !buffer.closed;
    },
    hear: (notice) => void notices.push(notice),
  });
  return { log, buffer, notices, taken };
}

async function openRedis(): Promise<Log> {
  await using opening = new AsyncDisposableStack();
  const redis = opening.use(await startRedis());
  const one = openRedisLog(redis.url);
  opening.use(one.log);
  const two = openRedisLog(redis.url);
  opening.use(two.log);
  await expect.poll(() => one.log.isReachable && two.log.isReachable).toBe(true);
  const owner = new LiveRunLogs();
  one.log.publish({ id: runId, leaseEpoch: 1 }, owner.open(runId));
  expect(await two.log.follow(runId, { epoch: 0, seq: 0 }, null)).toBe(true);
  const opened = opening.move();
  return { owner, reader: two.buffer, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function drain(cursor: RunCursor): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of cursor) events.push(event);
  return events;
}

const logs = { memory: openMemory, 'pieces of the database': openPieces, ...(hasRedis ? { Redis: openRedis } : {}) };

describe.each(Object.entries(logs))('the log in %s', (_name, open) => {
  test('A reader gets each event while it happens, from any seq on, and the end once', async () => {
    await using log = await open();
    const events: RunEvent[] = [];
    const append = (payload: RunEventPayload) => events.push(log.owner.append(runId, payload));
    const cursors = Array.from({ length: 9 }, (_, after) => new RunCursor(log.reader, after));
    append({ type: 'RunStarted', userMessageId: 'u' });
    append({ type: 'MessageStarted', messageId: 'm', agentId: 'a' });
    for (const [index, token] of ['Hel', 'lo', ' 😀', ' you'].entries()) {
      append(
        text(
          token,
          events.reduce((sum, event) => sum + ('delta' in event ? event.delta.length : 0), 0),
        ),
      );
      await expect.poll(() => log.reader.lastEventSeq).toBe(index + 3);
    }
    append({ type: 'MessageCompleted', messageId: 'm' });
    append({ type: 'RunCompleted' });
    await expect.poll(() => log.reader.closed).toBe(true);
    expect(log.reader.events).toEqual(events);
    for (const [after, cursor] of cursors.entries()) {
      const read = await drain(cursor);
      expect(read.every(({ seq }) => seq > after)).toBe(true);
      expect(read.at(-1)?.type ?? 'none').toBe(after < 8 ? 'RunCompleted' : 'none');
    }
  });

  test('Readers elsewhere are not given what is held back either', async () => {
    await using log = await open();
    log.owner.append(runId, { type: 'RunStarted', userMessageId: 'u' });
    log.owner.open(runId).showUpTo(2);
    log.owner.open(runId).hold();
    log.owner.append(runId, text('secret', 0));
    const cursor = new RunCursor(log.reader, 0);
    expect((await cursor.next()).value).toMatchObject({ type: 'RunStarted' });
    const second = cursor.next();
    const first = await Promise.race([second.then(() => 'an event'), sleep(200).then(() => 'nothing')]);
    expect(first).toBe('nothing');
    log.owner.open(runId).showUpTo(10);
    expect((await second).value).toMatchObject({ delta: 'secret' });
    await cursor.return();
  });
});

test('A piece says that those before it are missing, and one that comes again changes nothing', () => {
  const owner = new LiveRunLogs();
  const buffer = owner.open(runId);
  owner.append(runId, { type: 'RunStarted', userMessageId: 'u' });
  const first = cutPiece(buffer, { after: 0, epoch: 1 });
  owner.append(runId, text('A', 0));
  const second = cutPiece(buffer, { after: 1, epoch: 1 });
  const reader = new RunEventBuffer(runId);
  if (!first || !second) throw new Error('There are two.');
  expect(applyPiece(reader, second)).toBe(false);
  expect(reader.events).toEqual([]);
  for (const piece of [first, second, first, second]) expect(applyPiece(reader, piece)).toBe(true);
  expect(reader.events).toEqual(buffer.events);
});

describe.runIf(hasRedis)('Redis', () => {
  test('An owner that was taken its run adds nothing any more, and no reader gets two ends', async () => {
    await using cleanup = new AsyncDisposableStack();
    const redis = cleanup.use(await startRedis());
    const [former, present, elsewhere] = [openRedisLog(redis.url), openRedisLog(redis.url), openRedisLog(redis.url)];
    for (const { log } of [former, present, elsewhere]) cleanup.use(log);
    await expect.poll(() => [former, present, elsewhere].every(({ log }) => log.isReachable)).toBe(true);
    const first = new LiveRunLogs();
    former.log.publish({ id: runId, leaseEpoch: 1 }, first.open(runId));
    expect(await elsewhere.log.follow(runId, { epoch: 0, seq: 0 }, null)).toBe(true);
    first.append(runId, { type: 'RunStarted', userMessageId: 'u' });
    first.append(runId, text('of the first', 0));
    await expect.poll(() => elsewhere.buffer.lastEventSeq).toBe(2);

    const second = new LiveRunLogs();
    second.open(runId).pass(100);
    present.log.publish({ id: runId, leaseEpoch: 2 }, second.open(runId));
    const client = cleanup.adopt(new Redis(redis.url), (opened) => opened.disconnect());
    await expect.poll(async () => (await client.xrange(`test:run:${runId}`, '-', '+'))[0]?.[0]).toBe('2-0');
    // It does not know it yet, and even ends the run.
    first.append(runId, text('too late', 12));
    first.append(runId, { type: 'RunFailed', failure: { code: 'INTERNAL', message: 'x', retryable: false } });
    await sleep(300);
    second.append(runId, text('of the second', 0));
    second.append(runId, { type: 'RunCompleted' });
    await expect.poll(() => elsewhere.buffer.closed).toBe(true);
    expect(elsewhere.buffer.events.map(({ seq, type }) => [seq, type])).toEqual([
      [1, 'RunStarted'],
      [2, 'TextDelta'],
      [101, 'TextDelta'],
      [102, 'RunCompleted'],
    ]);
    const kept = await client.xrange(`test:run:${runId}`, '-', '+');
    expect(kept.every(([id]) => id.startsWith('2-'))).toBe(true);
    await expect.poll(() => client.ttl(`test:run:${runId}`)).toBeLessThanOrEqual(60);
  });

  test('A Redis that is full is told of the runs that go on when it has room again, and nothing is kept of those that have ended', async () => {
    await using cleanup = new AsyncDisposableStack();
    const redis = cleanup.use(await startRedis());
    const { log } = openRedisLog(redis.url);
    cleanup.use(log);
    const client = cleanup.adopt(new Redis(redis.url), (opened) => opened.disconnect());
    await expect.poll(() => log.probe()).toBe('reachable');
    await client.config('SET', 'maxmemory', '1');
    expect(await log.probe()).toBe('read-only');
    const owner = new LiveRunLogs();
    const runIds = Array.from({ length: 20 }, () => crypto.randomUUID());
    for (const id of runIds) {
      const publication = log.publish({ id, leaseEpoch: 1 }, owner.open(id));
      owner.append(id, { type: 'RunStarted', userMessageId: 'u' });
      if (id === runIds[0]) continue;
      owner.append(id, { type: 'RunCompleted' });
      publication.finish();
    }
    const refused = async () => {
      const [, calls = '0'] = /cmdstat_xadd:.*rejected_calls=(\d+)/.exec(await client.info('commandstats')) ?? [];
      return Number(calls);
    };
    await expect.poll(refused).toBeGreaterThanOrEqual(2 * runIds.length);
    await client.config('SET', 'maxmemory', '0');
    await expect.poll(() => client.xlen(`test:run:${runIds[0]}`)).toBe(2);
    expect(await client.keys('test:run:*')).toEqual([`test:run:${runIds[0]}`]);
  });

  test('One blocking connection reads all runs, and a notice reaches every instance', async () => {
    await using cleanup = new AsyncDisposableStack();
    const redis = cleanup.use(await startRedis());
    const [one, two] = [openRedisLog(redis.url), openRedisLog(redis.url)];
    for (const { log } of [one, two]) cleanup.use(log);
    await expect.poll(() => one.log.isReachable && two.log.isReachable).toBe(true);
    for (let count = 0; count < 50; count++) await two.log.follow(crypto.randomUUID(), { epoch: 0, seq: 0 }, null);
    const client = cleanup.adopt(new Redis(redis.url), (opened) => opened.disconnect());
    const blocked = async () => /blocked_clients:(\d+)/.exec(await client.info('clients'))?.[1];
    await expect.poll(blocked).toBe('2');
    one.log.announce({ type: 'cancel', runId });
    await expect
      .poll(() => [one.notices, two.notices])
      .toEqual([[{ type: 'cancel', runId }], [{ type: 'cancel', runId }]]);
  });

  test('When Redis becomes a replica, the connections that write look for the new primary', async () => {
    await using cleanup = new AsyncDisposableStack();
    const redis = cleanup.use(await startRedis());
    const open = [() => openConnection(redis.url, 1_500), () => openLimits(redis.url, 'test:', () => {})];
    for (const connect of open) {
      const connection = connect();
      cleanup.defer(() => connection.disconnect());
      await once(connection, 'ready');
      await connection.replicaof('127.0.0.1', '1');
      const again = once(connection, 'ready');
      await expect(connection.set('a', '1')).rejects.toThrow('READONLY');
      // The address leads to it now.
      await again;
      await connection.replicaof('no', 'one');
      expect(await connection.set('a', '1')).toBe('OK');
    }
  });

  test('What happens while Redis is frozen is one piece when it answers again: nothing queues up', async () => {
    await using cleanup = new AsyncDisposableStack();
    const redis = cleanup.use(await startRedis());
    const [one, two] = [openRedisLog(redis.url), openRedisLog(redis.url)];
    for (const { log } of [one, two]) cleanup.use(log);
    await expect.poll(() => one.log.isReachable && two.log.isReachable).toBe(true);
    const owner = new LiveRunLogs();
    one.log.publish({ id: runId, leaseEpoch: 1 }, owner.open(runId));
    await two.log.follow(runId, { epoch: 0, seq: 0 }, null);
    owner.append(runId, { type: 'RunStarted', userMessageId: 'u' });
    await expect.poll(() => two.buffer.lastEventSeq).toBe(1);
    redis.freeze();
    for (let index = 0; index < 900; index++) {
      owner.append(runId, text('a', index));
      if (index % 100 === 0) await sleep(20);
    }
    redis.thaw();
    await expect
      .poll(
        async () =>
          two.buffer.lastEventSeq === 901 ||
          !(await two.log.follow(runId, { epoch: 1, seq: two.buffer.lastEventSeq }, null)),
      )
      .toBe(true);
    await expect.poll(() => two.buffer.lastEventSeq).toBe(901);
    expect(two.taken.length).toBeLessThan(10);
  });
});
