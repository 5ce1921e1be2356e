import { expect, test } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';

test('Without a key, the demo opens a ticket when it is asked to, once, and of no other text', async () => {
  await using demo = new AsyncDisposableStack();
  const model = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
  demo.defer(() => model.close());
  await using app = await startTestApp({ env: { OPENAI_BASE_URL: model.url, MODEL: 'switchboard-demo' } });
  const chat = await openChat(app, {});
  const say = async (text: string) => [...assembleTexts(await chat.readToEnd(text)).values()].join('\n');
  expect(await say('My ticket for the concert was stolen.')).not.toMatch(/opened ticket/);
  expect(await say('Please open an urgent ticket: the printer is on fire')).toMatch(
    /I opened ticket 1: the printer is on fire \(tkt_[0-9a-f-]{36}\)/,
  );
  expect(await say('Can you create a ticket for me?')).toContain('I opened ticket 2: Can you create a ticket for me?');
  const { tickets } = await chat.ask(`{ tickets(orderBy: { field: CREATED_AT, direction: ASC }) { edges { node {
    number subject body priority status createdBy createdByAgent { name } conversation { id }
  } } } }`);
  const common = {
    status: 'OPEN',
    createdBy: expect.stringMatching(/^user-/),
    createdByAgent: { name: 'assistant' },
    conversation: { id: chat.conversationId },
  };
  expect(tickets.edges).toEqual([
    {
      node: {
        ...{ number: 1, subject: 'the printer is on fire', priority: 'URGENT' },
        body: 'Please open an urgent ticket: the printer is on fire',
        ...common,
      },
    },
    {
      node: {
        ...{ number: 2, subject: 'Can you create a ticket for me?', priority: 'NORMAL' },
        body: 'Can you create a ticket for me?',
        ...common,
      },
    },
  ]);
});
