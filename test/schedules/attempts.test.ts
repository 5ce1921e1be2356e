import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { purge } from '../../src/retention/purge.ts';
import { startDue } from '../../src/schedules/start-due.ts';
import { type Instance, openIdleInstances } from '../instances/open-instances.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel, type ScriptedModel } from '../support/scripted-model/script.ts';

const create = 'mutation ($input: ScheduleInput!) { createSchedule(input: $input) { id nextAt } }';
const read =
  'query ($id: ID!) { node(id: $id) { ... on Schedule { isActive nextAt lastError runs { totalCount edges { node { status } } } } } }';
const update = 'mutation ($id: ID!, $input: ScheduleInput!) { updateSchedule(id: $id, input: $input) { id nextAt } }';
const daily = { name: 'Daily', cron: '0 9 * * *', content: 'The report of {{date}}.' };
const dayMs = 24 * 3_600_000;
const tooMany = 'Too many running turns at once: at most 1 per user.';

const rowOf = (publicId: string) => publicId.slice('sch_'.length);
const later = (at: string, ms: number) => new Date(Date.parse(at) + ms);

let opened: AsyncDisposableStack;
let model: ScriptedModel;
let here: Instance;
let there: Instance;

beforeAll(async () => {
  await using opening = new AsyncDisposableStack();
  model = opening.use(await createScriptedModel());
  // Nothing looks for what is due by itself.
  const instances = opening.use(await openIdleInstances(2, { OPENAI_BASE_URL: model.url, MAX_TURNS_PER_USER: '1' }));
  const [one, two] = instances;
  if (!one || !two) throw new Error('There are two.');
  [here, there] = [one, two];
  opened = opening.move();
});
afterAll(() => opened?.disposeAsync());

const times = (id: string) =>
  here.app.db.scheduleTime.findMany({ where: { scheduleId: rowOf(id) }, orderBy: { dueAt: 'asc' } });
/** Makes it time for the next attempt. */
const makeDue = (id: string) =>
  here.app.db.$executeRaw`
    UPDATE schedule_times SET next_attempt_at = date_trunc('milliseconds', clock_timestamp())
    WHERE schedule_id = ${rowOf(id)}::uuid AND next_attempt_at IS NOT NULL`;
const atRest = () => expect.poll(() => here.app.runs.openTurns.size + there.app.runs.openTurns.size).toBe(0);
/** Ends what the tests before have left. */
const removeSchedules = () => here.app.db.schedule.deleteMany({});

describe('a start that fails', () => {
  /** A turn of alice that runs until the gate opens. */
  async function beBusy() {
    const gate = createGate();
    model.add({ text: ['Let me', ' look.'], afterTokens: 1, gate });
    const reader = here.alice.chatTurn('ws', { conversationId: await here.alice.createConversation() });
    await reader.untilText('Let me');
    return {
      async end() {
        gate.open();
        await reader.rest();
        await atRest();
      },
    };
  }

  test('The limit of turns holds for a scheduled start: it is tried again until there is room, and says why it waits', async () => {
    await removeSchedules();
    const { createSchedule } = await here.alice.ask(create, { input: daily });
    const { id, nextAt } = createSchedule;
    const token = await here.token({ sub: 'bob' });
    expect((await here.query(create, { input: daily }, { token })).errors).toEqual([]);
    const busy = await beBusy();
    model.add({ text: 'A report for bob.' });
    // That of another user starts.
    expect(await startDue(here.app.runs, new Date(nextAt))).toBe(1);
    expect((await here.alice.ask(read, { id })).node).toMatchObject({
      isActive: true,
      lastError: tooMany,
      runs: { totalCount: 0 },
    });
    expect(await times(id)).toMatchObject([{ attempts: 1, runId: null, nextAttemptAt: expect.any(Date) }]);
    // Not before it is time.
    expect(await startDue(here.app.runs, new Date(nextAt))).toBe(0);
    expect(await times(id)).toMatchObject([{ attempts: 1 }]);
    await makeDue(id);
    expect(await startDue(here.app.runs, new Date(nextAt))).toBe(0);
    expect(await times(id)).toMatchObject([{ attempts: 2, runId: null }]);
    await busy.end();
    await makeDue(id);
    model.add({ text: 'A report.' });
    expect(await startDue(here.app.runs, new Date(nextAt))).toBe(1);
    expect((await here.alice.ask(read, { id })).node).toMatchObject({ lastError: null, runs: { totalCount: 1 } });
    expect(await times(id)).toMatchObject([{ attempts: 3, runId: expect.any(String), nextAttemptAt: null }]);
    await atRest();
  });

  test('After the last attempt its time is given up, with the reason, and the next time comes', async () => {
    await removeSchedules();
    const { createSchedule } = await here.alice.ask(create, { input: daily });
    const { id, nextAt } = createSchedule;
    const busy = await beBusy();
    expect(await startDue(here.app.runs, new Date(nextAt))).toBe(0);
    let attempts = 1;
    for (; (await times(id))[0]?.nextAttemptAt !== null; attempts += 1) {
      expect(attempts).toBeLessThan(20);
      await makeDue(id);
      expect(await startDue(here.app.runs, new Date(nextAt))).toBe(0);
    }
    expect(await times(id)).toMatchObject([{ attempts, runId: null, nextAttemptAt: null }]);
    expect((await here.alice.ask(read, { id })).node).toMatchObject({
      isActive: true,
      nextAt: later(nextAt, dayMs).toISOString(),
      lastError: tooMany,
      runs: { totalCount: 0 },
    });
    await busy.end();
    expect(await startDue(here.app.runs, new Date(nextAt))).toBe(0);
    model.add({ text: 'The next report.' });
    expect(await startDue(here.app.runs, later(nextAt, dayMs))).toBe(1);
    expect((await here.alice.ask(read, { id })).node).toMatchObject({ lastError: null, runs: { totalCount: 1 } });
    await atRest();
  });
});

test('An instance that stops between the claim and the start: another one starts the turn, and whatever the first does later starts none', async () => {
  await removeSchedules();
  const { createSchedule } = await here.alice.ask(create, { input: daily });
  const { id, nextAt } = createSchedule;
  const woken = Promise.withResolvers<void>();
  const original = here.app.runs.startsByConversation.run.bind(here.app.runs.startsByConversation);
  const starts = vi.spyOn(here.app.runs.startsByConversation, 'run');
  starts.mockImplementation(async (...given) => {
    await woken.promise;
    return original(...given);
  });
  const sleeping = startDue(here.app.runs, new Date(nextAt));
  await expect.poll(() => starts.mock.calls.length).toBe(1);
  // Its attempt is not over, for all that the others know.
  expect(await startDue(there.app.runs, new Date(nextAt))).toBe(0);
  await makeDue(id);
  model.add({ text: 'A report.' });
  expect(await startDue(there.app.runs, new Date(nextAt))).toBe(1);
  woken.resolve();
  expect(await sleeping).toBe(0);
  starts.mockRestore();
  await atRest();
  const { node } = await there.alice.ask(read, { id });
  expect(node).toMatchObject({ lastError: null, runs: { edges: [{ node: { status: 'COMPLETED' } }] } });
  expect(await times(id)).toMatchObject([{ attempts: 2, nextAttemptAt: null }]);
  const conversationId = (await times(id))[0]?.conversationId ?? '';
  expect(await here.app.db.run.count({ where: { conversationId } })).toBe(1);
});

test('Starts that fail after another one has started the turn write nothing', async () => {
  await removeSchedules();
  const { createSchedule } = await here.alice.ask(create, { input: daily });
  const { id, nextAt } = createSchedule;
  const woken = Promise.withResolvers<void>();
  const starts = vi.spyOn(here.app.runs.startsByConversation, 'run');
  starts.mockImplementation(async () => {
    await woken.promise;
    throw new Error('The network is away.');
  });
  const failing = startDue(here.app.runs, new Date(nextAt));
  await expect.poll(() => starts.mock.calls.length).toBe(1);
  await makeDue(id);
  model.add({ text: 'A report.' });
  expect(await startDue(there.app.runs, new Date(nextAt))).toBe(1);
  woken.resolve();
  expect(await failing).toBe(0);
  starts.mockRestore();
  await atRest();
  expect((await there.alice.ask(read, { id })).node).toMatchObject({ lastError: null, runs: { totalCount: 1 } });
  expect(await times(id)).toMatchObject([{ attempts: 2, nextAttemptAt: null }]);
});

test('A clock that jumps an hour forward makes up for one time, and one that jumps back starts none again', async () => {
  await removeSchedules();
  const { createSchedule } = await here.alice.ask(create, { input: { ...daily, cron: '*/10 * * * *' } });
  const { id, nextAt } = createSchedule;
  const minutes = (count: number) => later(nextAt, count * 60_000);
  /** What both instances start at a time. */
  const round = async (count: number) => {
    const started = await Promise.all([here, there].map(({ app }) => startDue(app.runs, minutes(count))));
    await atRest();
    return started[0] === undefined || started[1] === undefined ? Number.NaN : started[0] + started[1];
  };
  model.add({ text: 'The first.' }, { text: 'The second.' }, { text: 'The third.' });
  expect(await round(0)).toBe(1);
  expect(await round(64)).toBe(1);
  expect(await round(4)).toBe(0);
  expect(await round(34)).toBe(0);
  expect(await round(64)).toBe(0);
  expect(await round(70)).toBe(1);
  expect((await times(id)).map(({ dueAt }) => dueAt)).toEqual([minutes(0), minutes(60), minutes(70)]);
  expect((await here.alice.ask(read, { id })).node).toMatchObject({ nextAt: minutes(80).toISOString() });
});

test('The next time is that of the database’s clock, whatever that of the instance is', async () => {
  await removeSchedules();
  const hourMs = 3_600_000;
  const now = Date.now();
  const everyMinute = { ...daily, cron: '* * * * *' };
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    for (const jumpMs of [2 * hourMs, -2 * hourMs]) {
      vi.setSystemTime(now + jumpMs);
      const { createSchedule } = await here.alice.ask(create, { input: everyMinute });
      expect(Math.abs(Date.parse(createSchedule.nextAt) - now)).toBeLessThan(hourMs);
      const { updateSchedule } = await here.alice.ask(update, {
        id: createSchedule.id,
        input: { ...everyMinute, cron: '*/2 * * * *' },
      });
      expect(Math.abs(Date.parse(updateSchedule.nextAt) - now)).toBeLessThan(hourMs);
    }
  } finally {
    vi.useRealTimers();
  }
});

test('The history is deleted with what it has started, by age; times that are still to start stay', async () => {
  await removeSchedules();
  const { createSchedule } = await here.alice.ask(create, { input: daily });
  const scheduleId = rowOf(createSchedule.id);
  const now = new Date();
  const time = { tenantId: 'acme', scheduleId };
  const ages = [1, 4, 6, 7, 8, 9, 10];
  await here.app.db.scheduleTime.createMany({
    data: ages.map((days) => ({
      ...time,
      dueAt: new Date(now.getTime() - days * dayMs),
      conversationId: crypto.randomUUID(),
      attempts: days,
      // The oldest one has not been given up.
      nextAttemptAt: days === 10 ? new Date(now.getTime() + dayMs) : null,
    })),
  });
  await purge(here.app.db, {
    retention: { archives: null, conversations: 5, guardrailResults: null, ledger: null },
    now,
    signal: AbortSignal.timeout(60_000),
    pauseMs: 0,
    batch: 2,
  });
  expect((await times(createSchedule.id)).map(({ attempts }) => attempts)).toEqual([10, 4, 1]);
});
