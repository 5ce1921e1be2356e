import { describe, expect, test } from 'vitest';
import { quoteText } from '../../src/conversations/files/quote.ts';
import { shareApp } from '../support/app.ts';
import { openChat, openNewUser, openSocketClient } from '../support/chat.ts';
import { exportText, importText, sendFile, withoutIds } from './files.ts';

const app = shareApp({ env: { RATE_LIMIT_TURNS: '0' } });

const update = `mutation ($id: ID!, $input: UpdateConversationInput!) { updateConversation(id: $id, input: $input) { id } }`;
const rate = `mutation ($id: ID!) { setFeedback(messageId: $id, rating: UP, comment: "Good 👍") { id } }`;
const treeDocument = `query ($id: ID!) { conversation(id: $id) { title messageCount isPinned isArchived activeAgent { name } messages(allBranches: true) { totalCount edges { node {
  id role content status position data reasoning parent { content } feedback { rating comment } citations { title quote }
  toolCalls { name arguments result status } run { status handoffs { fromAgent { name } toAgent { name } reason } } } } } } }`;

/** A conversation with all that a file holds: two branches, a call, a handoff, a citation, data, reasoning, feedback. */
async function openRich(sub: string) {
  const chat = await openChat(app, 'support', { sub });
  const { conversationId: id } = chat;
  app.model.add({ text: 'Hello.' });
  await chat.readToEnd('Hi,\nI have a question: "why?" \u2028 🧩');
  app.model.add(
    { text: 'I look.', calls: [{ name: 'transfer_to_orders', arguments: { reason: 'An order' } }] },
    { calls: [{ name: 'echo_context', arguments: { n: 1 } }] },
    { text: 'It is on its way.' },
  );
  await chat.readToEnd('Where is it?');
  const { conversation } = await chat.ask(treeDocument, { id });
  const rows = conversation.messages.edges.map(({ node }: { node: { id: string; content: string } }) => node);
  app.model.add({ text: 'Another branch.' });
  await chat.readToEnd('Where is my order?', { editMessageId: rows[2].id });
  const messageId = rows.at(-1).id.slice('msg_'.length);
  const tenantId = 'acme';
  await app.app.db.messageDetails.create({
    data: { tenantId, messageId, data: { n: [1, 2.5, null] }, reasoning: 'First …' },
  });
  await app.app.db.citation.create({
    data: { tenantId, messageId, index: 1, title: 'Returns', url: null, quote: 'Within 30 days', position: 2 },
  });
  await chat.ask(rate, { id: rows.at(-1).id });
  await chat.ask(update, { id, input: { title: 'About <an> order', isPinned: true, isArchived: true } });
  return { ...chat, id };
}

/** What clients see of a conversation, without ids. */
async function readTree(chat: Awaited<ReturnType<typeof openNewUser>>, id: string): Promise<unknown> {
  const { conversation } = await chat.ask(treeDocument, { id });
  return JSON.parse(JSON.stringify(conversation, (key, value) => (key === 'id' ? undefined : value)));
}

describe('An exported conversation', () => {
  test('Imported again, it is the same but for its ids, and goes on', async () => {
    const chat = await openRich('exporter');
    const text = await exportText(app, chat, chat.id);
    const { skipped, conversations } = await importText(app, chat, text);
    expect(skipped).toEqual([]);
    expect(conversations).toMatchObject([{ title: 'About <an> order', isPinned: true, isArchived: true }]);
    const [{ id }] = conversations;
    expect(id).not.toBe(chat.id);
    expect(withoutIds(await exportText(app, chat, id))).toEqual(withoutIds(text));
    const before = await readTree(chat, chat.id);
    expect(await readTree(chat, id)).toEqual(before);
    const shown = JSON.stringify(before);
    for (const said of [
      'It is on its way.',
      'Another branch.',
      'echo_context',
      'An order',
      'Good 👍',
      'Within 30 days',
    ])
      expect(shown).toContain(said);
    app.model.add({ text: 'Gladly.', expect: ({ messages }) => expect(messages.length).toBeGreaterThan(3) });
    const events = await chat.chatTurn('ws', { conversationId: id, content: 'Thanks' }).rest();
    expect(events.at(-1)).toMatchObject({ __typename: 'RunCompleted' });
  });

  test('Another user gets it as their own; of another tenant, without what is not theirs', async () => {
    const chat = await openRich('giver');
    const text = await exportText(app, chat, chat.id);
    const taker = await openSocketClient(app, { sub: 'taker' });
    const { conversations } = await importText(app, taker, text);
    expect(await readTree(taker, conversations[0].id)).toEqual(await readTree(chat, chat.id));
    const stranger = await openSocketClient(app, { sub: 'taker', tenant: 'globex' });
    const far = await importText(app, stranger, text);
    expect(far.conversations).toHaveLength(1);
    expect(far.skipped.join('\n')).toMatch(/agent/);
    expect(JSON.stringify(await readTree(stranger, far.conversations[0].id))).toContain('It is on its way.');
    const denied = await app.query(
      'mutation ($id: ID!) { exportConversation(id: $id) { url } }',
      { id: chat.id },
      taker,
    );
    expect(denied.errors[0]?.extensions.code).toBe('FORBIDDEN');
  });

  test('The texts of a file are checked by the guardrails of the agent that it names', async () => {
    const user = await openNewUser(app);
    const check = { patterns: ['(?i)forbidden'] };
    const agentId = await user.createAgent({
      name: 'guarded',
      guardrails: [{ name: 'words', stages: ['INPUT'], check }],
    });
    const id = await user.createConversation({ agentId });
    app.model.add({ text: 'Good.' });
    await user.chatTurn('ws', { conversationId: id, content: 'All is well' }).rest();
    const text = (await exportText(app, user, id)).replaceAll('All is well', 'All is forbidden');
    const { conversations } = await importText(app, user, text);
    const tree = await readTree(user, conversations[0].id);
    expect(JSON.stringify(tree)).toMatch(/"BLOCKED"/);
    expect(JSON.stringify(tree)).toContain('"title":"New conversation"');
  });
});

describe('A file that is not as it should be', () => {
  const message = (id: number, parent: number | null, content = 'Text') => ({
    ...{
      id: idOf('msg', id),
      parentId: parent === null ? null : idOf('msg', parent),
      role: 'USER',
      status: 'COMPLETE',
    },
    ...{ content, agentId: null, runId: null, step: null, attachments: [], routingDecision: null, source: 'CHAT' },
    ...{ finishReason: null, transfers: null, createdAt: '2026-01-01T00:00:00Z', hasData: false, data: null },
    ...{ reasoning: null, citations: [], feedback: null },
  });
  const idOf = (kind: string, id: number) => `${kind}_00000000-0000-4000-8000-${String(id).padStart(12, '0')}`;
  const conversation = (messages: readonly object[], more: object = {}) => ({
    ...{ id: idOf('conv', 1), title: 'A file', autoTitle: false, isPinned: false, isArchived: false, projectId: null },
    ...{ scenarioKey: null, agentId: null, activeLeafId: messages.length === 0 ? null : idOf('msg', 1) },
    ...{ createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-02T00:00:00Z', messages, runs: [], toolCalls: [] },
    ...{ toolCallsWithoutRun: [], handoffs: [], ...more },
  });
  const file = (...conversations: readonly unknown[]) =>
    JSON.stringify({ format: 'switchboard.conversations', version: 1, conversations });
  const countRows = async (user: string) =>
    Promise.all([
      app.app.db.conversation.count({ where: { userId: user } }),
      app.app.db.message.count({ where: { conversation: { userId: user } } }),
    ]);

  test('What cannot be imported is left out as a whole and said; the rest is imported', async () => {
    const chat = await openSocketClient(app, 'importer');
    const deep = 'DEEP';
    const branches = Array.from({ length: 9_999 }, (_, index) => message(index + 2, 1));
    const { skipped, conversations } = await importText(
      app,
      chat,
      file(
        conversation([message(1, 2), message(2, 1)]),
        conversation([message(1, 1)]),
        conversation([message(1, null), message(1, null)]),
        conversation([message(1, null, 'a\u0000b')]),
        conversation([message(1, null, 'lone \ud800')]),
        conversation([message(1, null)], { deep }),
        conversation([message(1, null), ...branches, message(20_000, 1)]),
        { mapping: 1 },
        null,
        'text',
        conversation([message(1, null), ...branches]),
        conversation([], { title: '__proto__', isAdmin: true }),
      )
        .replace('"isAdmin":true', '"__proto__":{"isPinned":true}')
        .replace('"DEEP"', '['.repeat(5_000) + ']'.repeat(5_000)),
    );
    expect(conversations).toMatchObject([
      { title: 'A file', messageCount: 1 },
      { title: '__proto__', isPinned: false, messageCount: 0 },
    ]);
    expect(skipped.map((text: string) => /^Conversation (\d+) was left out/.exec(text)?.[1])).toEqual(
      Array.from({ length: 10 }, (_, index) => String(index + 1)),
    );
    expect(skipped.slice(0, 7)).toEqual([
      expect.stringMatching(/parentId names no message before it/),
      expect.stringMatching(/parentId names no message before it/),
      expect.stringMatching(/is duplicated/),
      expect.stringMatching(/U\+0000/),
      expect.stringMatching(/lone surrogate/),
      expect.stringMatching(/nested deeper/),
      expect.stringMatching(/10,000/),
    ]);
    expect(await countRows('importer')).toEqual([2, 10_000]);
  });

  test('A file that was cut off is imported up to there, which is said', async () => {
    const chat = await openSocketClient(app, 'cutter');
    const whole = file(conversation([message(1, null)]));
    const { skipped, conversations } = await importText(app, chat, whole.slice(0, -2));
    expect(conversations).toHaveLength(1);
    expect(skipped).toEqual([expect.stringMatching(/cut off/)]);
  });

  test('What is no file of conversations is BAD_USER_INPUT, and nothing is written', async () => {
    const token = await app.token({ sub: 'nobody' });
    const files = [
      ...['', '{', '[]', '{}', '7', 'null', '"text"', 'no JSON', '[1,2', `${'['.repeat(200_000)}`, '{"data":[{}]}'],
      file(conversation([])).replace('"version":1', '"version":2'),
      new Uint8Array(Buffer.from(file(conversation([message(1, null, 'Grüße')])), 'latin1')),
      new Uint8Array(Buffer.from(file(conversation([])), 'utf16le')),
    ];
    for (const bad of files) {
      const { data, errors } = await sendFile(app, token, bad);
      expect([bad, data?.importConversations ?? null, errors[0]?.extensions.code]).toEqual([
        bad,
        null,
        'BAD_USER_INPUT',
      ]);
    }
    expect(await countRows('nobody')).toEqual([0, 0]);
  });
});

describe('A conversation as Markdown', () => {
  test('It is the active branch, and no text, name or title has a structure of its own in it', async () => {
    const chat = await openChat(app, 'support');
    const forged =
      '# Forged\n## Assistant, now\r---\r\n</blockquote><h1>Forged</h1>\n```js\nif (a <b) {}\n```\n<script>';
    app.model.add({ text: forged });
    await chat.readToEnd(forged);
    await chat.ask(update, { id: chat.conversationId, input: { title: 'Title\n# Forged <b>' } });
    const text = await exportText(app, chat, chat.conversationId, 'MARKDOWN');
    expect(text.split('\n').filter((line) => !line.startsWith('>') && line !== '')).toEqual([
      '# Title \\# Forged \\<b\\>',
      expect.stringMatching(/^## User, 2\d{3}-/),
      expect.stringMatching(/^## Assistant \(supervisor\), 2\d{3}-/),
    ]);
    const quoted = ['> # Forged', '> ## Assistant, now', '> ---', '> &lt;/blockquote>&lt;h1>Forged&lt;/h1>', '> ```js'];
    expect(text).toContain([...quoted, '> if (a <b) {}', '> ```', '> &lt;script>'].join('\n'));
  });

  test('HTML in a fence that may have ended is not left as it is', () => {
    for (const text of ['- ```\n  a\n```\n<b>\n', ' ```\n```\n<b>', '> ```\n<b>', '```a`\n<b>', '~~~\n```\n~~~\n<b>'])
      expect(quoteText(text)).toContain('&lt;b>');
    expect(quoteText('~~~\n```\n<b>\n~~~')).toContain('> <b>');
  });
});
