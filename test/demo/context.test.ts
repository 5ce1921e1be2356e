import { expect, test } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';

test('Without a key, a snapshot has a seeded record in it, and the demo model says what the user sees', async () => {
  await using demo = new AsyncDisposableStack();
  const model = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
  demo.defer(() => model.close());
  await using app = await startTestApp({ env: { OPENAI_BASE_URL: model.url, MODEL: 'switchboard-demo' } });
  const chat = await openChat(app, 'support');
  const create = `mutation ($input: ContextSnapshotInput!) { createContextSnapshot(input: $input) { id redactions } }`;
  const input = { page: 'The page of bob@example.com', recordIds: ['order:1042'] };
  const { id, redactions } = (await chat.ask(create, { input })).createContextSnapshot;
  expect(redactions).toBe(1);
  const text = async (more = {}) =>
    [...assembleTexts(await chat.readToEnd('What do I see?', more)).values()].join('\n');
  const told = await text({ contextSnapshotId: id });
  expect(told).toContain('The page of [EMAIL]');
  expect(told).toContain('"item":"Espresso machine');
  expect(await text()).toContain('I was given nothing of what you see');
});
