import { expect, test, vi } from 'vitest';
import { FairTurns } from '../../src/event-loop/fair-turns.ts';
import { followViewer } from '../conversations/feed-reader.ts';
import { startTestApp } from '../support/app.ts';
import { openNewUser } from '../support/chat.ts';

test('Events that are read from rows take turns by their size, as far as the last one of their stream tells it', async () => {
  const waits = vi.spyOn(FairTurns.prototype, 'wait');
  await using app = await startTestApp();
  const user = await openNewUser(app);
  const id = await user.createConversation();
  const { viewer } = await user.ask('{ viewer { lastEventSeq } }');
  const content = 'x'.repeat(60_000);
  for (let message = 0; message < 3; message += 1)
    await user.ask(
      'mutation ($id: ID!, $content: String!) { createMessage(input: { conversationId: $id, role: SYSTEM, content: $content }) { id } }',
      { id, content },
    );
  waits.mockClear();
  await using reader = followViewer(app, user.token, viewer.lastEventSeq);
  let messages = 0;
  while (messages < 3) if ((await reader.next())?.__typename === 'MessageAdded') messages += 1;
  const units = waits.mock.calls
    .map(([, , unit = 1]) => (typeof unit === 'number' ? unit : unit()))
    .filter((unit) => unit >= 100);
  expect(units[0]).toBe(100);
  expect(Math.max(...units)).toBeGreaterThan(60_000);
  waits.mockRestore();
});

test('A request that waits for its turn is known by a hash of its token, of constant length', async () => {
  const waits = vi.spyOn(FairTurns.prototype, 'wait');
  await using app = await startTestApp();
  const tokens = ['short', 'x'.repeat(8_000)];
  for (const token of [...tokens, ...tokens])
    await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{"query":"{ __typename }"}',
    });
  const members = waits.mock.calls.map(([, member]) => member).filter((member) => member.length === 43);
  expect(members).toHaveLength(4);
  expect(new Set(members).size).toBe(2);
  expect(members.slice(2)).toEqual(members.slice(0, 2));
  waits.mockRestore();
});
