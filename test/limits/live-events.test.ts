import { expect, test } from 'vitest';
import { createBillingConversation } from '../approvals/decide.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openNewUser } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

/** Room for what is on its way, not an expectation. */
const drainTimeout = { timeout: 120_000 };

test('Runs that hold too much together are stopped: those of the user whose runs hold most, and nobody else’s', {
  timeout: 240_000,
}, async () => {
  await using app = await startTestApp({ env: { LIVE_RUN_BYTES_PER_PROCESS: '420000' } });
  const [flooder, other] = [await openNewUser(app), await openNewUser(app)];
  const gate = createGate();
  const start = async (user: typeof flooder, pieces: number, piece: string) => {
    app.model.add({ text: Array.from({ length: pieces + 1 }, () => piece), gate, afterTokens: pieces });
    const conversationId = await createBillingConversation(user);
    const reader = user.chatTurn('ws', { conversationId, content: 'Go' });
    await reader.until('TextDelta');
    return reader;
  };
  // The largest single run is of the other user; all of them together are too much only with those of the flooder.
  const honest = await start(other, 15, 'o'.repeat(10_000));
  const floods: (typeof honest)[] = [];
  for (let turn = 0; turn < 4; turn += 1) floods.push(await start(flooder, 10, 'f'.repeat(10_000)));
  const statusesOf = async (user: typeof flooder, readers: readonly (typeof honest)[]) => {
    const statuses: string[] = [];
    for (const { events } of readers)
      statuses.push((await user.ask(documents.run, { id: events[0]?.runId ?? '' })).run.status);
    return statuses.sort();
  };
  await expect
    .poll(() => statusesOf(flooder, floods), drainTimeout)
    .toEqual(['FAILED', 'FAILED', 'RUNNING', 'RUNNING']);
  gate.open();
  expect((await honest.rest()).at(-1)?.__typename).toBe('RunCompleted');
  const ends = await Promise.all(floods.map(async (reader) => (await reader.rest()).at(-1)));
  const failed = ends.filter((end) => end?.__typename === 'RunFailed');
  expect(failed).toHaveLength(2);
  for (const end of failed)
    expect(end?.error).toMatchObject({
      code: 'MODEL_ERROR',
      retryable: true,
      message: expect.stringContaining('later'),
    });
});

test('The runs that are stopped are of the tenant whose runs hold most, however many users share them', {
  timeout: 240_000,
}, async () => {
  await using app = await startTestApp({ env: { LIVE_RUN_BYTES_PER_PROCESS: '420000' } });
  const honestUser = await openNewUser(app, { tenant: 'honest' });
  const floodingUsers = await Promise.all(Array.from({ length: 5 }, () => openNewUser(app, { tenant: 'flooding' })));
  const gate = createGate();
  const start = async (user: typeof honestUser, pieces: number) => {
    app.model.add({
      text: Array.from({ length: pieces + 1 }, () => 'x'.repeat(10_000)),
      gate,
      afterTokens: pieces,
    });
    const conversationId = await createBillingConversation(user);
    const reader = user.chatTurn('ws', { conversationId, content: 'Go' });
    await reader.until('TextDelta');
    return reader;
  };
  // Of all users, the honest one holds most.
  const honest = await start(honestUser, 15);
  const floods: (typeof honest)[] = [];
  for (const user of floodingUsers) floods.push(await start(user, 8));
  const statusOf = async (user: typeof honestUser, { events }: typeof honest) =>
    (await user.ask(documents.run, { id: events[0]?.runId ?? '' })).run.status;
  const countFailed = async () => {
    const statuses = await Promise.all(
      floodingUsers.map((user, index) => {
        const flood = floods[index];
        if (!flood) throw new Error('A turn is missing.');
        return statusOf(user, flood);
      }),
    );
    return statuses.filter((status) => status === 'FAILED').length;
  };
  await expect.poll(countFailed, drainTimeout).toBeGreaterThan(0);
  expect(await statusOf(honestUser, honest)).toBe('RUNNING');
  gate.open();
  expect((await honest.rest()).at(-1)?.__typename).toBe('RunCompleted');
  await Promise.all(floods.map((reader) => reader.rest()));
});
