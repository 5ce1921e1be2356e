import { expect, test } from 'vitest';
import { createBillingConversation, decide, refund } from '../approvals/decide.ts';
import { startTestApp } from '../support/app.ts';
import { openNewUser, openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';
import { picture, uploadId } from './support.ts';

/** The user message that a request begins with: with the bytes of its images. */
const saidIn = ({ body }: { readonly body: unknown }) => (body as { readonly input: readonly unknown[] }).input[0];

test('A turn that waited for an approval gives the model the same files as before', async () => {
  const steps = [{ text: 'I refund it.', calls: [refund('r1')] }, { text: 'It is refunded.' }];
  await using app = await startTestApp({ env: { MODEL_API: 'responses' }, steps });
  const user = await openNewUser(app);
  const conversationId = await createBillingConversation(user);
  const attachmentIds = [
    await uploadId(app, user.token, await picture(30, 20), { name: 'damage.png' }),
    await uploadId(app, user.token, 'The parcel was open.', { name: 'note.txt' }),
  ];
  const reader = user.chatTurn('ws', { conversationId, content: 'Refund 1042', attachmentIds });
  await reader.until('ApprovalRequested');
  await decide(user, reader.events[0]?.runId ?? '', 'r1');
  await reader.rest();
  const [before, after] = app.model.requests.map(saidIn);
  expect(before).toMatchObject({ content: [{ text: expect.stringContaining('The parcel was open.') }, {}] });
  expect(after).toEqual(before);
});

test('Whoever takes a turn over gives the model the same files', { timeout: 240_000 }, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel([{ misbehave: 'hang' }, { text: 'Red.' }]);
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model', MODEL_API: 'responses' };
  const turn = { content: 'What is this?', idempotencyKey: 'once' };
  let conversationId = '';
  {
    await using server = await startServer(data.folder, env);
    const alice = await openSocketClient(server, 'alice');
    conversationId = await alice.createConversation({});
    const attachmentIds = [
      await uploadId(server, alice.token, await picture(2_000, 20), { name: 'wide.png' }),
      await uploadId(server, alice.token, 'Some text.', { name: 'note.txt' }),
    ];
    const started = alice.chatTurn('ws', { ...turn, conversationId, attachmentIds });
    await model.received(1);
    await server.end('SIGKILL');
    await started.rest().catch(() => {});
  }
  await using server = await startServer(data.folder, env);
  const alice = await openSocketClient(server, 'alice');
  const { conversation } = await alice.ask(
    'query ($id: ID!) { conversation(id: $id) { runs(first: 1) { edges { node { id } } } } }',
    { id: conversationId },
  );
  const events = await alice.runEvents('ws', conversation.runs.edges[0].node.id).rest();
  expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  const [before, after] = model.requests.map(saidIn);
  expect(before).toMatchObject({ content: [{ text: expect.stringContaining('Some text.') }, {}] });
  expect(after).toEqual(before);
});
