import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { openNewUser } from '../support/chat.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { serve } from './support.ts';

// Guardrails that check the text of the user check what is read at the addresses of its files, before it is stored.

const secret = 'forbidden-9f31';

/** A user of an app that reads files of this server, with a conversation whose guardrails look for the secret. */
async function openGuarded(opening: AsyncDisposableStack, action: 'REDACT' | 'BLOCK') {
  const files = opening.use(
    await serve((request, response) => {
      response.end(request.url === '/bad.txt' ? `It says ${secret}, and goes on.` : 'A fine text.');
    }),
  );
  const env = { ATTACHMENT_FETCH: 'true', MODEL_ALLOWED_HOSTS: `127.0.0.1:${files.port}/` };
  const app = opening.use(await startTestApp({ env }));
  const user = await openNewUser(app);
  const guardrails = [{ name: 'guard', stages: ['INPUT'], action, check: { patterns: ['forbidden-\\w+'] } }];
  const agentId = await user.createAgent({ guardrails, tools: ['current_time'] });
  const conversationId = await user.createConversation({ agentId });
  const attachments = ['fine', 'bad'].map((name) => {
    return { name: `${name}.txt`, type: 'text/plain', url: `${files.url}/${name}.txt`, size: 10 };
  });
  const say = (more: object = {}) => user.chatTurn('ws', { conversationId, content: 'Read', attachments, ...more });
  const read = async () => {
    const { conversation } = await user.ask(
      `query ($id: ID!) { conversation(id: $id) {
        runs { edges { node { status error { code } guardrailResults { guardrail tripwireTriggered } } } }
        messages { edges { node { role status attachments { name notice } } } } } }`,
      { id: conversationId },
    );
    const nodes = (list: { readonly edges: readonly { readonly node: unknown }[] }) =>
      list.edges.map(({ node }) => node);
    return { runs: nodes(conversation.runs), messages: nodes(conversation.messages) };
  };
  return { app, user, say, read };
}

test('What a guardrail replaces in a file by URL is given to no model, and stored nowhere', async () => {
  await using opening = new AsyncDisposableStack();
  const { app, say, read } = await openGuarded(opening, 'REDACT');
  app.model.add({ text: 'I see.' }, { text: 'Again.' });
  expect((await say().rest()).at(-1)?.__typename).toBe('RunCompleted');
  await say({ content: 'And?', attachments: [] }).rest();
  for (const { messages } of app.model.requests) {
    expect(JSON.stringify(messages)).toContain('It says [REDACTED], and goes on.');
    expect(JSON.stringify(messages)).toContain('A fine text.');
  }
  expect(await dumpDatabase(app.app)).not.toContain(secret);
  const { runs } = await read();
  expect(runs[0]).toMatchObject({
    guardrailResults: expect.arrayContaining([
      { guardrail: 'guard', tripwireTriggered: true },
      { guardrail: 'guard', tripwireTriggered: false },
    ]),
  });
});

test('A file by URL that a guardrail blocks ends the run before a model is asked, and its text is not stored', async () => {
  await using opening = new AsyncDisposableStack();
  const { app, say, read } = await openGuarded(opening, 'BLOCK');
  const events = await say().rest();
  expect(events.map(({ __typename }) => __typename)).toEqual(
    expect.arrayContaining(['RunStarted', 'GuardrailTripped', 'RunFailed']),
  );
  expect(app.model.requests).toEqual([]);
  expect(await read()).toMatchObject({
    runs: [{ status: 'FAILED', error: { code: 'GUARDRAIL_TRIPPED' } }],
    messages: [
      {
        role: 'USER',
        status: 'BLOCKED',
        attachments: [{ notice: null }, { name: 'bad.txt', notice: 'A guardrail has blocked its text.' }],
      },
    ],
  });
  expect(await dumpDatabase(app.app)).not.toContain(secret);
});

test('A file by URL of a message that joins a run is checked, too', async () => {
  await using opening = new AsyncDisposableStack();
  const { app, say, read } = await openGuarded(opening, 'BLOCK');
  const gate = createGate();
  const calls = [{ name: 'current_time', arguments: {} }];
  app.model.add({ text: ['Let me', ' look.'], afterTokens: 1, gate, calls });
  const first = say({ attachments: [] });
  await first.untilText('Let me');
  const joining = say({ content: 'Rather that', ifBusy: 'STEER', idempotencyKey: 'joining' }).rest();
  await expect.poll(() => app.app.db.run.count({ where: { status: 'QUEUED' } })).toBe(1);
  gate.open();
  const types = (await first.rest()).map(({ __typename }) => __typename);
  expect(types.slice(-3)).toEqual(['MessageSteered', 'GuardrailTripped', 'RunFailed']);
  expect((await joining).at(-1)?.__typename).toBe('RunFailed');
  expect(app.model.requests).toHaveLength(1);
  expect((await read()).runs).toMatchObject([{ status: 'FAILED', error: { code: 'GUARDRAIL_TRIPPED' } }]);
  expect(await dumpDatabase(app.app)).not.toContain(secret);
});
