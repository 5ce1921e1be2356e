import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadHistory } from '../../src/runs/plan/history.ts';
import { readPastMessages } from '../../src/runs/plan/past-messages.ts';
import { shareApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';

const app = shareApp();

/** A conversation of turns whose questions, results and answers are long; the last turn is short. */
async function openLongChat(turns: number, size: number) {
  const chat = await openChat(app, 'support');
  const say = async (content: string) => {
    const { sendMessage } = await chat.ask(documents.sendMessage, {
      input: { conversationId: chat.conversationId, content, idempotencyKey: randomUUID() },
    });
    return sendMessage.id.slice('run_'.length) as string;
  };
  for (let turn = 0; turn < turns; turn += 1) {
    app.model.add(
      { calls: [{ name: 'lookup_order', arguments: { orderNumber: '1042' } }] },
      { text: `answer ${turn} ${'a'.repeat(size)}` },
    );
    await say(`question ${turn} ${'q'.repeat(size)}`);
  }
  app.model.add({ text: 'Short.' });
  return app.app.db.run.findUniqueOrThrow({ where: { id: await say('last question') } });
}

const agents = new Map();

test('The history for the model is read backwards as far as its budget goes, in whole turns', async () => {
  const run = await openLongChat(6, 20_000);
  const whole = await loadHistory(app.app.db, run, 1_000_000, { agents, beforeStep: 0 });
  expect(whole.filter(({ role }) => role === 'user')).toHaveLength(7);

  // Two turns of about 40,000 bytes, and a part of a third one.
  const maxBytes = 110_000;
  const past = await readPastMessages(app.app.db, run, maxBytes);
  const read = past.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  expect(read).toBeLessThanOrEqual(maxBytes);
  expect(read).toBeGreaterThan(80_000);

  const history = await loadHistory(app.app.db, run, maxBytes / 5, { agents, beforeStep: 0 });
  expect(history.at(0)).toMatchObject({ role: 'user', content: expect.stringMatching(/^question 4 /) });
  expect(history).toEqual(whole.slice(-history.length));
  // Every call is there with its result.
  expect(history.map(({ role }) => role)).toEqual([
    ...['user', 'assistant', 'tool', 'assistant'],
    ...['user', 'assistant', 'tool', 'assistant'],
    'user',
  ]);
});

test('The history for the model leaves out a turn whose tool results are longer than the budget, and the turns before it', async () => {
  const run = await openLongChat(3, 100);
  await app.app.db.toolCall.updateMany({
    where: { run: { conversationId: run.conversationId, number: 2 } },
    data: { result: { text: 'r'.repeat(200_000) } },
  });
  const history = await loadHistory(app.app.db, run, 20_000, { agents, beforeStep: 0 });
  const questions = history.flatMap((item) => (item.role === 'user' ? [item.content.slice(0, 10)] : []));
  expect(questions).toEqual(['question 2', 'last quest']);
});

test('The history for the model has the message of its own turn, however long what was added since', async () => {
  const chat = await openChat(app, 'support');
  app.model.add({ text: 'Yes.' });
  const { sendMessage } = await chat.ask(documents.sendMessage, {
    input: { conversationId: chat.conversationId, content: 'mine', idempotencyKey: 'k' },
  });
  const create = 'mutation ($input: CreateMessageInput!) { createMessage(input: $input) { id } }';
  for (let n = 0; n < 3; n += 1) {
    const input = { conversationId: chat.conversationId, role: 'USER', content: 'x'.repeat(100_000) };
    await chat.ask(create, { input });
  }
  const run = await app.app.db.run.findUniqueOrThrow({ where: { id: sendMessage.id.slice('run_'.length) } });
  const history = await loadHistory(app.app.db, run, 1_000, { agents, beforeStep: 0 });
  expect(history.map((item) => (item.role === 'tool' ? '' : item.content))).toEqual(['mine']);
});
