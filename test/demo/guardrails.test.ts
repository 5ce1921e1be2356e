import { expect, test } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';

test('The seeded scenario with guardrails redacts an address, and stops a turn with a password or a threat', async () => {
  await using demo = new AsyncDisposableStack();
  const model = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
  demo.defer(() => model.close());
  await using app = await startTestApp({ env: { OPENAI_BASE_URL: model.url, MODEL: 'switchboard-demo' } });
  const chat = await openChat(app, 'guarded');
  const redacted = await chat.readToEnd('I am bob@example.com, hello');
  expect(redacted.at(-1)?.__typename).toBe('RunCompleted');
  expect([...assembleTexts(redacted).values()].join()).toContain('You said: "I am [EMAIL], hello"');
  for (const text of ['My p&#97;ssword is hunter2', 'I will murder you']) {
    const stopped = await chat.readToEnd(text);
    expect(stopped.at(-1)).toMatchObject({ __typename: 'RunFailed', error: { code: 'GUARDRAIL_TRIPPED' } });
  }
});

test('The demo model answers the question of a classifier by its words', async () => {
  await using demo = new AsyncDisposableStack();
  const model = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
  demo.defer(() => model.close());
  await using app = await startTestApp({ env: { OPENAI_BASE_URL: model.url, MODEL: 'switchboard-demo' } });
  const chat = await openChat(app, 'assistant');
  const judge = await chat.createAgent({ name: 'judge' });
  const check = { classifier: { agentId: judge, question: 'Does the text mention football?' } };
  const agentId = await chat.createAgent({ guardrails: [{ name: 'sports', stages: ['INPUT'], check }] });
  const document = `mutation ($input: ModerateInput!) { moderate(input: $input) { flagged reasoning } }`;
  const ask = async (text: string) => (await chat.ask(document, { input: { text, agentId } })).moderate.flagged;
  expect([await ask('I like football.'), await ask('I like chess.')]).toEqual([true, false]);
});
