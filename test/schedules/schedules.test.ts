import { CronExpression } from 'cron-parser';
import { describe, expect, test, vi } from 'vitest';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { findDue, findNext } from '../../src/schedules/cron.ts';
import { startDue } from '../../src/schedules/start-due.ts';
import { openIdleInstances } from '../instances/open-instances.ts';
import { shareApp, type TestApp } from '../support/app.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';

const app = shareApp();
const fields = 'id name cron timeZone isActive nextAt lastError runs { totalCount edges { node { id status } } }';
const create = `mutation ($input: ScheduleInput!) { createSchedule(input: $input) { ${fields} } }`;
const update = `mutation ($id: ID!, $input: ScheduleInput!) { updateSchedule(id: $id, input: $input) { ${fields} } }`;
const read = `query ($id: ID!) { node(id: $id) { ... on Schedule { ${fields} } } }`;
const daily = { name: 'Daily', cron: '0 9 * * *', content: 'The report of {{date}}.' };

const minutesAfter = (at: string, minutes: number) => new Date(Date.parse(at) + minutes * 60_000);

/** Waits for the end of all turns. */
const atRest = (of: TestApp) =>
  expect.poll(() => of.app.db.run.count({ where: { finishedAt: null } }), { timeout: 30_000 }).toBe(0);

describe('expressions', () => {
  test.each([
    ['0 0 31 2 *', 'UTC', 'cron'],
    ['* * * * * *', 'UTC', 'cron'],
    ['*/5 * * * * *', 'UTC', 'cron'],
    ['* * * *', 'UTC', 'cron'],
    ['0 0 30 2 *', 'UTC', 'cron'],
    ['@secondly', 'UTC', 'cron'],
    ['H H * * *', 'UTC', 'cron'],
    ['99 * * * *', 'UTC', 'cron'],
    ['   ', 'UTC', 'cron'],
    ['0 9 * * *', 'Nowhere/City', 'timeZone'],
    ['0 9 * * *', '+02:00', 'timeZone'],
  ])('%s in %s is refused', async (cron, timeZone, field) => {
    const { errors } = await app.query(create, { input: { ...daily, cron, timeZone } });
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path: ['input', field] });
  });

  test('A night in which clocks are changed has each time once, also if it was missed', () => {
    const berlin = 'Europe/Berlin';
    const next = (after: string) => findNext('30 2 * * *', berlin, new Date(after))?.toISOString();
    // 02:30 does not exist: an hour later. Then it exists twice: the first one.
    expect(next('2026-03-28T12:00:00Z')).toBe('2026-03-29T01:30:00.000Z');
    expect(next('2026-10-24T12:00:00Z')).toBe('2026-10-25T00:30:00.000Z');
    const due = findDue('30 2 * * *', berlin, new Date('2026-10-25T00:30:00Z'), new Date('2026-10-25T12:00:00Z'));
    expect(due).toEqual({ dueAt: new Date('2026-10-25T00:30:00Z'), nextAt: new Date('2026-10-26T01:30:00Z') });
  });

  test.each([
    // The hour that does not exist is left out, the one that exists twice has its times twice.
    ['0 * * * *', 'Europe/Berlin', '2026-03-29T00:30:00Z', ['01:00', '02:00', '03:00']],
    ['0 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', ['00:00', '01:00', '02:00']],
    ['*/30 * * * *', 'Europe/Berlin', '2026-10-25T00:10:00Z', ['00:30', '01:00', '01:30']],
    ['30 2 * * *', 'America/New_York', '2026-03-08T06:00:00Z', ['07:30', '06:30']],
    ['30 1 * * *', 'America/New_York', '2026-11-01T05:00:00Z', ['05:30', '06:30']],
    // Midnight does not exist.
    ['0 0 * * *', 'Africa/Cairo', '2026-04-23T12:00:00Z', ['22:00', '21:00']],
    ['0 0 29 2 *', 'UTC', '2026-03-01T00:00:00Z', ['00:00', '00:00']],
  ])('%s in %s after %s comes at %s', (cron, timeZone, after, wanted) => {
    let at = new Date(after);
    for (const time of wanted) {
      at = findNext(cron, timeZone, at) ?? new Date(Number.NaN);
      expect(at.toISOString().slice(11, 16)).toBe(time);
      // Each is the last that is due at its own moment, and nothing between is.
      expect(findDue(cron, timeZone, at, at).dueAt).toEqual(at);
    }
  });
});

/** As findDue, one time after the other. */
function findDueInTurn(cron: string, timeZone: string, nextAt: Date, now: Date) {
  const oldest = new Date(now.getTime() - 24 * 3_600_000);
  let dueAt = nextAt >= oldest ? nextAt : null;
  let next = findNext(cron, timeZone, dueAt ?? oldest);
  for (; next !== null && next <= now; next = findNext(cron, timeZone, next)) dueAt = next;
  return { dueAt, nextAt: next };
}

test.each([
  ['* * * * *', 'UTC'],
  ['*/7 0-11 * * *', 'Europe/Berlin'],
  ['30 2 * * *', 'Europe/Berlin'],
  ['0,59 1,2,3 * * 0', 'America/New_York'],
  ['*/30 * * * *', 'Australia/Lord_Howe'],
])('After an outage, the last missed time of %s in %s is found in a few steps', (cron, timeZone) => {
  const steps = vi.spyOn(CronExpression.prototype, 'next');
  try {
    // Days with a change of clocks in one of the zones among them.
    for (const day of ['2026-03-08', '2026-03-29', '2026-06-14', '2026-10-25', '2026-11-01']) {
      for (const [outage, until] of [
        [0.4, '02:45:30.500'],
        [5, '01:00:00.000'],
        [20, '12:00:00.000'],
        [23.9, '23:59:59.999'],
        [900, '06:10:00.000'],
      ] as const) {
        const now = new Date(`${day}T${until}Z`);
        const nextAt = findNext(cron, timeZone, new Date(now.getTime() - outage * 3_600_000)) ?? now;
        if (nextAt > now) continue;
        steps.mockClear();
        const due = findDue(cron, timeZone, nextAt, now);
        if (day === '2026-06-14') expect(steps.mock.calls.length).toBeLessThan(20);
        expect(due, `${day} ${until}`).toEqual(findDueInTurn(cron, timeZone, nextAt, now));
      }
    }
  } finally {
    steps.mockRestore();
  }
});

test('Two instances, ten rounds at once: one turn for a due time; a clock that goes on makes up for one, one that goes back for none', async () => {
  await using model = await createScriptedModel([{ text: 'Done.' }, { text: 'Done.' }]);
  await using instances = await openIdleInstances(2, { OPENAI_BASE_URL: model.url });
  const [first, second] = instances;
  if (!first || !second) throw new Error('No instances.');
  const { createSchedule } = await first.alice.ask(create, { input: daily });
  const { id, nextAt } = createSchedule;
  const round = (minutes: number) =>
    Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        startDue((index % 2 ? first : second).app.runs, minutesAfter(nextAt, minutes)),
      ),
    ).then((counts) => counts.reduce((sum, count) => sum + count, 0));
  const runsOf = async () => (await second.alice.ask(read, { id })).node.runs.totalCount;
  expect(await round(-1)).toBe(0);
  await round(0);
  expect(await runsOf()).toBe(1);
  // Three days later: of those that were missed, the last one.
  await round(3 * 24 * 60 + 5);
  expect(await runsOf()).toBe(2);
  await round(0);
  await round(24 * 60);
  expect(await runsOf()).toBe(2);
  const runs = await first.app.db.run.findMany({ select: { idempotencyKey: true, conversationId: true } });
  expect(new Set(runs.map(({ conversationId }) => conversationId)).size).toBe(2);
  expect(runs.map(({ idempotencyKey }) => idempotencyKey).sort()).toEqual(
    [0, 3 * 24 * 60].map((minutes) => `schedule ${minutesAfter(nextAt, minutes).toISOString()}`),
  );
  const [message] = await first.app.db.message.findMany({ where: { role: 'USER' }, orderBy: { id: 'asc' } });
  expect(message?.content).toBe(`The report of ${nextAt.slice(0, 10)}.`);
  await Promise.all([atRest(first), atRest(second)]);
});

test('A process that dies between the turn and its note: the next attempt finds the turn', async () => {
  const { data } = await app.query(create, { input: daily });
  const { id, nextAt } = data.createSchedule;
  app.model.add({ text: 'Once.' });
  expect(await startDue(app.app.runs, new Date(nextAt))).toBe(1);
  const scheduleId = id.slice('sch_'.length);
  const before = await app.app.db.scheduleTime.findFirstOrThrow({ where: { scheduleId } });
  await app.app.db.$executeRaw`
    UPDATE schedule_times SET run_id = NULL, next_attempt_at = clock_timestamp() WHERE schedule_id = ${scheduleId}::uuid`;
  await app.query(update, { id, input: { ...daily, content: 'Something else.' } });
  await startDue(app.app.runs, new Date(nextAt));
  // It may be the server's own round that finds it.
  const find = () => app.app.db.scheduleTime.findFirstOrThrow({ where: { scheduleId } });
  await expect.poll(async () => (await find()).runId, { timeout: 30_000 }).toBe(before.runId);
  expect((await find()).nextAttemptAt).toBeNull();
  await atRest(app);
});

test('A schedule whose agent was deleted is switched off and says why', async () => {
  const agent = 'mutation { createAgent(input: { name: "Reporter", instructions: "Report." }) { id } }';
  const token = await app.token({ sub: 'bob' });
  const ask = async (document: string, variables = {}) => (await app.query(document, variables, { token })).data;
  const { createAgent } = await ask(agent);
  const { createSchedule } = await ask(create, { input: { ...daily, agentId: createAgent.id } });
  await ask('mutation ($id: ID!) { deleteAgent(id: $id) }', createAgent);
  expect(await startDue(app.app.runs, new Date(createSchedule.nextAt))).toBe(0);
  const find = async () => (await ask(read, { id: createSchedule.id })).node;
  await expect.poll(async () => (await find()).isActive, { timeout: 30_000 }).toBe(false);
  const node = await find();
  expect(node).toMatchObject({ nextAt: null, runs: { totalCount: 0 } });
  expect(node.lastError).toContain(createAgent.id);
  const stranger = await app.query(update, { id: createSchedule.id, input: daily });
  expect(stranger.errors[0]?.extensions.code).toBe('FORBIDDEN');
  await eraseUser(app.app.db, { tenantId: 'acme', userId: 'bob' }, () => {});
  expect(await app.app.db.schedule.count({ where: { userId: 'bob' } })).toBe(0);
});

test('A user has 50 schedules, also if several are created at once, and a tenant 1,000', async () => {
  const { db } = app.app;
  const row = { tenantId: 'acme', name: 'x', content: 'x', cron: '0 9 * * *', timeZone: 'UTC', isActive: false };
  const fill = async (userId: string, count: number) => {
    await db.user.upsert({
      where: { tenantId_id: { tenantId: 'acme', id: userId } },
      create: { tenantId: 'acme', id: userId },
      update: {},
    });
    await db.schedule.createMany({ data: Array.from({ length: count }, () => ({ ...row, userId })) });
  };
  const add = async (sub: string) => {
    const { errors } = await app.query(create, { input: daily }, { token: await app.token({ sub }) });
    return errors[0]?.extensions.code ?? 'created';
  };
  await fill('carol', 48);
  const last = await Promise.all(Array.from({ length: 5 }, () => add('carol')));
  expect(last.sort()).toEqual(['CONFLICT', 'CONFLICT', 'CONFLICT', 'created', 'created']);
  expect(await db.schedule.count({ where: { userId: 'carol' } })).toBe(50);
  await fill('dave', 999 - (await db.schedule.count({ where: { tenantId: 'acme' } })));
  expect(await add('erin')).toBe('created');
  expect(await add('erin')).toBe('CONFLICT');
  // Other tenants have room.
  const token = await app.token({ sub: 'erin', tenant: 'globex' });
  expect((await app.query(create, { input: daily }, { token })).errors).toEqual([]);
  await db.schedule.deleteMany({});
});
