import { pino } from 'pino';
import { expect, test } from 'vitest';
import { BadUserInputError } from '../../src/api/errors.ts';
import { Feed } from '../../src/feed/feed.ts';
import { FeedLoads } from '../../src/feed/feed-loads.ts';
import { assemblePages, type FeedPage, type FeedRequest } from '../../src/feed/feed-page.ts';
import { readFeed } from '../../src/feed/read-feed.ts';
import { shareApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const app = shareApp();
type Event = { readonly seq: number };
const start = (work: () => Promise<void>) => void work();
const expire = (last: number) => new BadUserInputError(`Expired: ${last}`, ['after']);

test('What many readers wait for is read with one statement, and what comes meanwhile with the next one', async () => {
  const statements: FeedRequest<string>[][] = [];
  const gate = createGate();
  const loads = new FeedLoads<string, Event>(
    async (requests) => {
      statements.push([...requests]);
      if (statements.length === 1) await gate.opened;
      return requests.map(({ after }) => [{ seq: after + 1 }]);
    },
    () => {},
  );
  const first = Array.from({ length: 40 }, (_, n) => loads.load({ owner: `user ${n}`, after: n }, start));
  await expect.poll(() => statements.length).toBe(1);
  const later = Array.from({ length: 120 }, (_, n) => loads.load({ owner: `user ${n}`, after: 100 + n }, start));
  gate.open();
  expect(await Promise.all(first)).toEqual(first.map((_, n) => [{ seq: n + 1 }]));
  expect(await Promise.all(later)).toEqual(later.map((_, n) => [{ seq: 101 + n }]));
  // No statement is larger than it may be.
  expect(statements.map(({ length }) => length)).toEqual([40, 50, 50, 20]);
  expect(await loads.load({ owner: 'later', after: 6 }, start)).toEqual([{ seq: 7 }]);
});

test('Readers that are woken while others read at the same seq are given what that statement did not see', async () => {
  const events: Event[] = [];
  const gate = createGate();
  let statements = 0;
  await using feed = new Feed<string, Event>(
    {
      ...{ channel: 'unused', keyOf: (owner) => owner, deleteExpired: async () => {} },
      read: async (requests) => {
        // As a statement does: it returns what was committed when it began.
        const pages = requests.map(({ after }) => events.filter(({ seq }) => seq > after));
        statements += 1;
        if (statements === 2) await gate.opened;
        return pages;
      },
      // What nobody is woken for is found by nobody.
      readLastSeqs: async () => [],
    },
    { db: app.app.db, logger: pino({ level: 'silent' }), alone: true },
  );
  const open = () => feed.read('ada', { after: null });
  const [asleep, reading] = [await open(), await open()];
  const first = asleep.next();
  await expect.poll(() => statements).toBe(1);
  const second = reading.next();
  await expect.poll(() => statements).toBe(2);
  events.push({ seq: 1 });
  feed.wake('ada');
  const third = (await open()).next();
  gate.open();
  const event = { done: false, value: { seq: 1 } };
  expect(await Promise.all([first, second, third])).toEqual([event, event, event]);
  // Those that may share a statement still do.
  expect(statements).toBeLessThanOrEqual(4);
});

test('A feed that cannot be read leaves the others alone, and so does a statement that fails', async () => {
  const failures: unknown[] = [];
  let isAway = false;
  const pages: Record<string, FeedPage<Event>> = {
    good: [{ seq: 1 }],
    expired: expire(3),
    newer: new TypeError('An event of a newer version.'),
  };
  const loads = new FeedLoads<string, Event>(
    async (requests) => {
      if (isAway) throw new Error('The database is away.');
      return requests.map(({ owner }) => pages[owner] ?? []);
    },
    (error) => failures.push(error),
  );
  const all = await Promise.allSettled(
    ['good', 'expired', 'newer', 'good'].map((owner) => loads.load({ owner, after: 0 }, start)),
  );
  expect(all).toEqual([
    { status: 'fulfilled', value: [{ seq: 1 }] },
    { status: 'rejected', reason: pages.expired },
    { status: 'fulfilled', value: [] },
    { status: 'fulfilled', value: [{ seq: 1 }] },
  ]);
  expect(failures).toEqual([pages.newer]);
  isAway = true;
  expect(await loads.load({ owner: 'good', after: 0 }, start)).toEqual([]);
  expect(failures).toHaveLength(2);
  isAway = false;
  expect(await loads.load({ owner: 'good', after: 0 }, start)).toEqual([{ seq: 1 }]);
});

test('Rows of several feeds are told apart: each gets its own, and its own refusal', () => {
  const rows = [
    { place: 1, lastSeq: 5, seq: 4 },
    { place: 1, lastSeq: 5, seq: 5 },
    { place: 2, lastSeq: 9, seq: null },
    { place: 3, lastSeq: 9, seq: 8 },
    { place: 4, lastSeq: 2, seq: null },
    { place: 6, lastSeq: 1, seq: 1 },
  ];
  const requests = [3, 9, 6, 7, 0, 0].map((after, place) => ({ owner: place, after }));
  const pages = assemblePages(requests, rows, ({ seq }) => ({ seq: seq ?? Number.NaN }), expire);
  expect(pages.map((page) => (page instanceof Error ? page.message : page.map(({ seq }) => seq)))).toEqual([
    [4, 5],
    [],
    'Expired: 9',
    expect.stringContaining('at most 2'),
    [],
    [1],
  ]);
  const parse = ({ place }: { readonly place: number }) => {
    if (place === 3) throw new TypeError('unknown');
    return { seq: 1 };
  };
  const broken = assemblePages(
    [0, 0, 6].map((after, owner) => ({ owner, after })),
    [{ place: 1, lastSeq: 1, seq: 1 }, ...rows.slice(3, 4)],
    parse,
    expire,
  );
  expect(broken).toEqual([[{ seq: 1 }], [], new TypeError('unknown')]);
});

test('One statement reads the feeds of users who have the same id in different tenants, each from where it is asked', async () => {
  const sub = `twin-${crypto.randomUUID()}`;
  const tenants = ['one', 'two', 'three'].map((name) => `${name}-${crypto.randomUUID()}`);
  const created: string[][] = [];
  for (const tenant of tenants.slice(0, 2)) {
    const user = await openSocketClient(app, { sub, tenant });
    created.push([await user.createConversation(), await user.createConversation()]);
  }
  const requests = [
    { owner: { tenantId: tenants[1] ?? '', userId: sub }, after: 1 },
    { owner: { tenantId: tenants[0] ?? '', userId: sub }, after: 0 },
    { owner: { tenantId: tenants[2] ?? '', userId: sub }, after: 0 },
    { owner: { tenantId: tenants[0] ?? '', userId: sub }, after: 7 },
  ];
  const pages = await readFeed(requests, app.app.db, 50);
  const idsOf = (page: FeedPage<{ readonly conversationId: string }> | undefined) =>
    page === undefined || page instanceof Error ? page : page.map(({ conversationId }) => conversationId);
  const [first = [], second = []] = created.map((ids) => ids.map((id) => id.slice(id.indexOf('_') + 1)));
  expect(pages.slice(0, 3).map(idsOf)).toEqual([second.slice(1), first, []]);
  expect(pages[3]).toMatchObject({ code: 'BAD_USER_INPUT' });
  // And no more than is asked for of each.
  const cut = await readFeed(requests.slice(1, 2), app.app.db, 1);
  expect(cut.map(idsOf)).toEqual([first.slice(0, 1)]);
});
