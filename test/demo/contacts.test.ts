import { expect, test } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { assembleTexts } from '../support/clients/turn-reader.ts';

test('Without a key, the demo saves a contact and a draft when it is asked to, each once', async () => {
  await using demo = new AsyncDisposableStack();
  const model = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
  demo.defer(() => model.close());
  await using app = await startTestApp({ env: { OPENAI_BASE_URL: model.url, MODEL: 'switchboard-demo' } });
  const chat = await openChat(app, {});
  const say = async (text: string) => [...assembleTexts(await chat.readToEnd(text)).values()].join('\n');
  expect(await say('My name is Ada Lovelace, please remember me: ada@example.com, +49 30 12345678')).toMatch(
    /saved the contact/,
  );
  expect(await say('Save a draft: Dear Ada, thank you.')).toContain('saved the draft reply, version 1');
  expect(await say('Write the draft once more: Dear Ada, many thanks.')).toContain('version 2');
  const read = `query ($id: ID!) {
    conversation(id: $id) { contact { email phone } } contacts { totalCount }
    draft(key: "reply", conversationId: $id) { content version versions { content } } }`;
  const data = await chat.ask(read, { id: chat.conversationId });
  expect(data.conversation.contact).toEqual({ email: 'ada@example.com', phone: '+493012345678' });
  expect(data.contacts.totalCount).toBe(1);
  expect(data.draft).toEqual({
    content: 'Dear Ada, many thanks.',
    version: 2,
    versions: [{ content: 'Dear Ada, many thanks.' }, { content: 'Dear Ada, thank you.' }],
  });
});
