import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, openNewUser } from '../support/chat.ts';
import { uploadId } from './support.ts';

// Guardrails of an agent that becomes active during a turn check the files of its message, as they check its text.

const app = shareApp({ env: { RATE_LIMIT_UPLOADS: '0' } });
const secret = 'forbidden-9f31';

/** A chat that begins with an agent without guardrails, which hands over to one that has some. */
async function openGuarded(guardrail: Readonly<Record<string, unknown>>) {
  const tenant = `handoffs-${randomUUID()}`;
  const admin = await openNewUser(app, { roles: ['admin'], tenant });
  const guardrails = [{ name: 'guard', stages: ['INPUT'], check: { patterns: ['forbidden-\\w+'] }, ...guardrail }];
  const guarded = await admin.createAgent({ name: 'guarded', isShared: true, guardrails });
  const root = await admin.createAgent({ name: 'free', isShared: true });
  const agents = [
    { agentId: root, handoffs: [{ toAgentId: guarded }] },
    { agentId: guarded, handoffs: [] },
  ];
  const input = { key: 'files', name: 'Files', rootAgentId: root, agents };
  await admin.ask('mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }', { input });
  const chat = await openChat(app, 'files', { tenant });
  const handOver = { calls: [{ name: 'transfer_to_guarded', arguments: {} }] };
  return {
    ...{ chat, handOver },
    /** @returns the row ids of files with these texts, and how the run went that was started with them */
    async sayWith(
      texts: readonly string[],
      content = 'Read',
      more: { name?: string; attachments?: readonly object[] } = {},
    ) {
      const { name = '', attachments = [] } = more;
      const files = texts.map((text, index) => uploadId(app, chat.token, text, { name: `${name}${index}.txt` }));
      const attachmentIds = await Promise.all(files);
      const events = await chat.readToEnd(content, { attachmentIds, attachments });
      const { run } = await chat.ask(
        `query ($id: ID!) { run(id: $id) { status error { code } userMessage { content status attachments { name url } }
          guardrailResults { guardrail tripwireTriggered } } }`,
        { id: events[0]?.runId },
      );
      return { run, types: events.map(({ __typename }) => __typename), ids: attachmentIds.map((id) => id.slice(4)) };
    },
  };
}

test('What a guardrail of an agent that takes over replaces in files is replaced where they are stored, and for each later model', async () => {
  const { chat, handOver, sayWith } = await openGuarded({ action: 'REDACT' });
  const already = app.model.requests.length;
  app.model.add(handOver, { text: 'I see.' }, { text: 'Again.' });
  const { run, types, ids } = await sayWith(['A fine text.', `It says ${secret}, and goes on.`]);
  expect(run).toMatchObject({
    ...{ status: 'COMPLETED', userMessage: { content: 'Read', status: 'REDACTED' } },
    guardrailResults: [{ guardrail: 'guard', tripwireTriggered: true }],
  });
  expect(types).toContain('GuardrailTripped');
  await chat.readToEnd('And?');
  const [first = '', ...later] = app.model.requests.slice(already).map(({ messages }) => JSON.stringify(messages));
  // Its own agent has no guardrails.
  expect(first).toContain(secret);
  expect(later).toHaveLength(2);
  for (const messages of later) {
    expect(messages).not.toContain(secret);
    expect(messages).toContain('It says [REDACTED], and goes on.');
    expect(messages).toContain('A fine text.');
  }
  const rows = await app.app.db.attachment.findMany({ where: { id: { in: ids } }, select: { text: true } });
  expect(rows.map(({ text }) => text).sort()).toEqual(['A fine text.', 'It says [REDACTED], and goes on.']);
});

test('A file that a guardrail of an agent that takes over blocks ends the run before the model of that agent is asked', async () => {
  const { chat, handOver, sayWith } = await openGuarded({ action: 'BLOCK' });
  const already = app.model.requests.length;
  app.model.add(handOver);
  const { run, types } = await sayWith([`It says ${secret}.`]);
  expect(run).toMatchObject({
    ...{ status: 'FAILED', error: { code: 'GUARDRAIL_TRIPPED' }, userMessage: { status: 'BLOCKED' } },
    guardrailResults: [{ guardrail: 'guard', tripwireTriggered: true }],
  });
  expect(types.slice(-2)).toEqual(['GuardrailTripped', 'RunFailed']);
  expect(app.model.requests).toHaveLength(already + 1);
  app.model.add({ text: 'Hi.', expect: ({ messages }) => expect(JSON.stringify(messages)).not.toContain(secret) });
  expect((await chat.readToEnd('Hello')).at(-1)?.__typename).toBe('RunCompleted');
});

test('What a guardrail of an agent that takes over replaces in the text alone leaves the files as they are', async () => {
  const { handOver, sayWith } = await openGuarded({ check: { patterns: ['swordfish'] }, action: 'REDACT' });
  const already = app.model.requests.length;
  app.model.add(handOver, { text: 'I see.' });
  const { run } = await sayWith([`It says ${secret}.`], 'The swordfish');
  expect(run).toMatchObject({ status: 'COMPLETED', userMessage: { content: 'The [REDACTED]', status: 'REDACTED' } });
  const [, second] = app.model.requests.slice(already).map(({ messages }) => JSON.stringify(messages));
  expect(second).toContain(`It says ${secret}.`);
  expect(second).not.toContain('swordfish');
});

test('What a guardrail of an agent that takes over replaces in the names and addresses of files is replaced everywhere', async () => {
  const { chat, handOver, sayWith } = await openGuarded({ action: 'REDACT' });
  const already = app.model.requests.length;
  app.model.add(handOver, { text: 'I see.' }, { text: 'Again.' });
  const url = `https://files.example/${secret}.txt`;
  const elsewhere = { name: `about ${secret}.txt`, type: 'text/plain', url, size: 3 };
  const { run, ids } = await sayWith(['A fine text.'], 'Read', { name: `${secret} `, attachments: [elsewhere] });
  expect(run).toMatchObject({ status: 'COMPLETED', userMessage: { content: 'Read', status: 'REDACTED' } });
  await chat.readToEnd('And?');
  const [first = '', ...later] = app.model.requests.slice(already).map(({ messages }) => JSON.stringify(messages));
  expect(first).toContain(secret);
  expect(later).toHaveLength(2);
  for (const messages of later) {
    expect(messages).not.toContain(secret);
    expect(messages).toContain('[REDACTED]');
    expect(messages).toContain('A fine text.');
  }
  const rows = await app.app.db.attachment.findMany({ where: { id: { in: ids } }, select: { name: true, text: true } });
  expect(rows).toEqual([{ name: '[REDACTED] 0.txt', text: 'A fine text.' }]);
  expect(JSON.stringify(run.userMessage)).toContain('[REDACTED]');
  expect(JSON.stringify(run.userMessage)).not.toContain(secret);
});
