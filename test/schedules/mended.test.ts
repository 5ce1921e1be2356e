import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { NotFoundError } from '../../src/api/errors.ts';
import { startDue } from '../../src/schedules/start-due.ts';
import { type Instance, openIdleInstances } from '../instances/open-instances.ts';
import { createScriptedModel, type ScriptedModel } from '../support/scripted-model/script.ts';

const create = 'mutation ($input: ScheduleInput!) { createSchedule(input: $input) { id nextAt } }';
const read =
  'query ($id: ID!) { node(id: $id) { ... on Schedule { isActive nextAt lastError runs { totalCount edges { node { status } } } } } }';
const update = 'mutation ($id: ID!, $input: ScheduleInput!) { updateSchedule(id: $id, input: $input) { id nextAt } }';
const daily = { name: 'Daily', cron: '0 9 * * *', content: 'The report of {{date}}.' };
const dayMs = 24 * 3_600_000;

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
  const instances = opening.use(await openIdleInstances(2, { OPENAI_BASE_URL: model.url }));
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

/** A schedule whose first attempt waits until it is woken, and is refused then. */
async function beRefused(prepare = async (_scheduleId: string, _nextAt: string) => {}) {
  const { createSchedule } = await here.alice.ask(create, { input: daily });
  const { id, nextAt } = createSchedule;
  await prepare(rowOf(id), nextAt);
  const woken = Promise.withResolvers<void>();
  let count = 0;
  const starts = vi.spyOn(here.app.runs.startsByConversation, 'run');
  starts.mockImplementation(async () => {
    count += 1;
    await woken.promise;
    throw new NotFoundError('There is no such agent.');
  });
  const failing = startDue(here.app.runs, new Date(nextAt));
  await expect.poll(() => starts.mock.calls.length).toBe(1);
  return {
    ...{ id, nextAt },
    /** How often a turn was to be started. */
    starts: () => count,
    async wake() {
      woken.resolve();
      expect(await failing).toBe(0);
      starts.mockRestore();
    },
  };
}

test('What was refused does not switch off a schedule that was mended meanwhile: its time starts as it is now', async () => {
  const { id, nextAt, wake } = await beRefused();
  await there.alice.ask(update, { id, input: { ...daily, content: 'The mended report.' } });
  await wake();
  expect((await here.alice.ask(read, { id })).node).toMatchObject({ isActive: true, lastError: null });
  await makeDue(id);
  model.add({ text: 'A report.' });
  expect(await startDue(there.app.runs, new Date(nextAt))).toBe(1);
  await atRest();
  const [time] = await times(id);
  const asked = { conversationId: time?.conversationId ?? '', role: 'USER' } as const;
  expect(await here.app.db.message.findFirst({ where: asked })).toMatchObject({ content: 'The mended report.' });
});

test('What fails for a while says nothing of a schedule that was mended meanwhile', async () => {
  const { createSchedule } = await here.alice.ask(create, { input: daily });
  const { id, nextAt } = createSchedule;
  const starts = vi.spyOn(here.app.runs.startsByConversation, 'run');
  starts.mockImplementation(async () => {
    await there.alice.ask(update, { id, input: daily });
    throw new Error('The network is away.');
  });
  expect(await startDue(here.app.runs, new Date(nextAt))).toBe(0);
  starts.mockRestore();
  expect((await here.alice.ask(read, { id })).node).toMatchObject({ isActive: true, lastError: null });
  expect(await times(id)).toMatchObject([{ nextAttemptAt: expect.any(Date) }]);
});

test('No time of a schedule that is switched off starts, whether it was claimed already or not', async () => {
  const time = (nextAt: string, days: number) => later(nextAt, days * dayMs);
  const { id, nextAt, starts, wake } = await beRefused(async (scheduleId, at) => {
    // That of the day before is claimed in the same round, that of the day after later.
    for (const [days, waitMs] of [
      [-1, 0],
      [1, dayMs],
    ] as const) {
      const nextAttemptAt = new Date(Date.now() + waitMs - 1_000);
      const data = { tenantId: 'acme', scheduleId, dueAt: time(at, days), nextAttemptAt };
      await here.app.db.scheduleTime.create({ data: { ...data, conversationId: crypto.randomUUID() } });
    }
  });
  await wake();
  expect(starts()).toBe(1);
  expect((await here.alice.ask(read, { id })).node).toMatchObject({
    ...{ isActive: false, nextAt: null, lastError: 'There is no such agent.' },
  });
  const rows = await times(id);
  expect(rows.map(({ dueAt, nextAttemptAt }) => [dueAt, nextAttemptAt])).toEqual(
    [-1, 0, 1].map((days) => [time(nextAt, days), null]),
  );
});

test('A start that ends after another time was refused leaves the reason why the schedule is off', async () => {
  const { createSchedule } = await here.alice.ask(create, { input: daily });
  const { id, nextAt } = createSchedule;
  const woken = Promise.withResolvers<void>();
  const original = here.app.runs.startsByConversation.run.bind(here.app.runs.startsByConversation);
  const slow = vi.spyOn(here.app.runs.startsByConversation, 'run');
  slow.mockImplementation(async (...given) => {
    await woken.promise;
    return original(...given);
  });
  const starting = startDue(here.app.runs, new Date(nextAt));
  await expect.poll(() => slow.mock.calls.length).toBe(1);
  const refused = vi.spyOn(there.app.runs.startsByConversation, 'run');
  refused.mockRejectedValue(new NotFoundError('There is no such agent.'));
  expect(await startDue(there.app.runs, later(nextAt, dayMs))).toBe(0);
  refused.mockRestore();
  model.add({ text: 'A report.' });
  woken.resolve();
  expect(await starting).toBe(1);
  slow.mockRestore();
  await atRest();
  expect((await here.alice.ask(read, { id })).node).toMatchObject({
    ...{ isActive: false, nextAt: null, lastError: 'There is no such agent.', runs: { totalCount: 1 } },
  });
});

test('Of times that are due together, those start whose rows can be written; the others follow, with the turns that they have', async () => {
  const names = ['started, and not noted', 'refused, and not noted', 'fine'];
  const ids: string[] = [];
  let dueAt = '';
  for (const name of names) {
    const { createSchedule } = await here.alice.ask(create, { input: { ...daily, name } });
    ids.push(createSchedule.id);
    dueAt = createSchedule.nextAt;
  }
  const [startedId = '', refusedId = '', fineId = ''] = ids;
  const { db } = here.app;
  await db.$executeRawUnsafe(`CREATE FUNCTION fail_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'The row cannot be written.'; END $$`);
  await db.$executeRawUnsafe(`CREATE TRIGGER fail_row BEFORE UPDATE ON schedule_times FOR EACH ROW
    WHEN (NEW.run_id IS NOT NULL AND NEW.schedule_id = '${rowOf(startedId)}') EXECUTE FUNCTION fail_row()`);
  await db.$executeRawUnsafe(`CREATE TRIGGER fail_row BEFORE UPDATE ON schedules FOR EACH ROW
    WHEN (NEW.last_error IS NOT NULL AND NEW.id = '${rowOf(refusedId)}') EXECUTE FUNCTION fail_row()`);
  await db.schedule.update({ where: { id: rowOf(refusedId), tenantId: 'acme' }, data: { content: '' } });
  model.add({ text: 'A report.' }, { text: 'A report.' });
  try {
    expect(await startDue(here.app.runs, new Date(dueAt))).toBe(1);
  } finally {
    await db.$executeRawUnsafe('DROP FUNCTION fail_row CASCADE');
  }
  await atRest();
  const all = async () => Promise.all(ids.map(async (id) => (await here.alice.ask(read, { id })).node));
  expect(await all()).toMatchObject([
    { isActive: true, lastError: null, runs: { totalCount: 0 } },
    { isActive: true, lastError: null, runs: { totalCount: 0 } },
    { isActive: true, lastError: null, runs: { totalCount: 1 } },
  ]);
  for (const id of ids) await makeDue(id);
  expect(await startDue(there.app.runs, new Date(dueAt))).toBe(1);
  expect(await all()).toMatchObject([
    { isActive: true, lastError: null, runs: { totalCount: 1 } },
    { isActive: false, lastError: expect.stringMatching(/content/i), runs: { totalCount: 0 } },
    { isActive: true, runs: { totalCount: 1 } },
  ]);
  expect(await times(fineId)).toMatchObject([{ attempts: 1 }]);
});
