import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient } from '../support/chat.ts';
import { openReceiver } from '../webhooks/receiver.ts';
import { createWebhook, localReceivers } from '../webhooks/support.ts';

const app = shareApp({ env: localReceivers });

const give = `mutation ($messageId: ID!, $rating: FeedbackRating, $comment: String) {
  it: setFeedback(messageId: $messageId, rating: $rating, comment: $comment) { id feedback { rating comment createdAt } } }`;
const listed = `query ($rating: FeedbackRating, $agentId: ID, $scenarioId: ID, $first: Int, $after: String) {
  it: feedback(rating: $rating, agentId: $agentId, scenarioId: $scenarioId, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { node { id rating comment userId scenarioVersion message { id content } run { id status } agent { id name } scenario { id key } } } } }`;

/** A chat of a tenant that nobody has seen before, with one answered turn, and an admin of the tenant. */
async function openAnswered(tenant: string, scenario = 'support') {
  const chat = await openChat(app, scenario, { tenant, sub: 'carla' });
  app.model.add({ text: ['An', ' answer.'] });
  await chat.readToEnd('A question?');
  const { conversation } = await chat.ask(
    'query ($id: ID!) { conversation(id: $id) { scenario { id version } messages { edges { node { id role } } } } }',
    { id: chat.conversationId },
  );
  const [question, answer] = conversation.messages.edges.map(({ node }: { node: { id: string } }) => node.id);
  const admin = await openSocketClient(app, { tenant, sub: 'ada', roles: ['admin'] });
  return { chat, admin, question, answer, scenario: conversation.scenario };
}

const codeOf = async (token: string, document: string, variables: Record<string, unknown>) => {
  const { errors } = await app.query(document, variables, { token });
  return errors[0]?.extensions.code;
};

test('A user rates an answer, changes it and takes it back; the same again changes nothing', async () => {
  const { chat, answer: messageId } = await openAnswered('t-rates');
  const first = await chat.ask(give, { messageId, rating: 'UP' });
  expect(first.it).toMatchObject({ id: messageId, feedback: { rating: 'UP', comment: null } });
  const changed = await chat.ask(give, { messageId, rating: 'DOWN', comment: 'Too short.' });
  expect(changed.it.feedback).toEqual({
    rating: 'DOWN',
    comment: 'Too short.',
    createdAt: first.it.feedback.createdAt,
  });
  const read = await chat.ask(
    'query ($id: ID!) { conversation(id: $id) { messages { edges { node { feedback { rating } } } } } }',
    { id: chat.conversationId },
  );
  const ratings = read.conversation.messages.edges.map(
    ({ node }: { node: { feedback: { rating: string } | null } }) => node.feedback?.rating ?? null,
  );
  expect(ratings).toEqual([null, 'DOWN']);
  expect((await chat.ask(give, { messageId, rating: null })).it.feedback).toBeNull();
  expect((await chat.ask(give, { messageId })).it.feedback).toBeNull();
});

test('Only the owner of the conversation rates, and only answers; wrong input names its argument, and nothing is written', async () => {
  const { chat, admin, question, answer } = await openAnswered('t-wrong');
  const other = await openSocketClient(app, { tenant: 't-else', sub: 'carla' });
  for (const { token } of [admin, other])
    expect(await codeOf(token, give, { messageId: answer, rating: 'UP' })).toBe('FORBIDDEN');
  const wrong: [Record<string, unknown>, string][] = [
    [{ messageId: question, rating: 'UP' }, 'messageId'],
    [{ messageId: 'msg_1', rating: 'UP' }, 'messageId'],
    [{ messageId: answer, rating: 'UP', comment: '' }, 'comment'],
    [{ messageId: answer, rating: 'UP', comment: 'x'.repeat(5_001) }, 'comment'],
    [{ messageId: answer, comment: 'without a rating' }, 'comment'],
  ];
  for (const [variables, field] of wrong) {
    const { errors } = await app.query(give, variables, { token: chat.token });
    expect(errors).toMatchObject([
      { message: expect.stringContaining(field), extensions: { code: 'BAD_USER_INPUT', path: [field] } },
    ]);
  }
  const absent = answer.replace(/.{4}$/, '0000');
  expect(await codeOf(chat.token, give, { messageId: absent, rating: 'UP' })).toBe('NOT_FOUND');
  expect((await admin.ask(listed)).it.totalCount).toBe(0);
});

test('Admins list feedback with its run, agent and scenario version, by each filter; others do not', async () => {
  const { chat, admin, answer, scenario } = await openAnswered('t-lists');
  const plain = await openAnswered('t-lists', 'assistant');
  await chat.ask(give, { messageId: answer, rating: 'DOWN', comment: 'No.' });
  await plain.chat.ask(give, { messageId: plain.answer, rating: 'UP' });
  const list = async (variables: Record<string, unknown> = {}) => {
    const { it } = await admin.ask(listed, variables);
    return { total: it.totalCount, nodes: it.edges.map(({ node }: { node: unknown }) => node), page: it.pageInfo };
  };
  const all = await list();
  expect(all.total).toBe(2);
  expect(all.nodes[1]).toMatchObject({
    rating: 'DOWN',
    comment: 'No.',
    userId: 'carla',
    scenarioVersion: scenario.version,
    message: { id: answer, content: 'An answer.' },
    run: { status: 'COMPLETED' },
    agent: { name: 'supervisor' },
    scenario: { id: scenario.id, key: 'support' },
  });
  const [up, down] = all.nodes;
  expect((await list({ rating: 'UP' })).nodes).toEqual([up]);
  expect((await list({ agentId: down.agent.id })).nodes).toEqual([down]);
  expect(await list({ scenarioId: scenario.id, rating: 'DOWN' })).toMatchObject({ total: 1, nodes: [down] });
  const page = await list({ first: 1 });
  expect(page).toMatchObject({ nodes: [up], page: { hasNextPage: true } });
  expect((await list({ first: 1, after: page.page.endCursor })).nodes).toEqual([down]);
  const { node } = await admin.ask('query ($id: ID!) { node(id: $id) { ... on Feedback { rating } } }', {
    id: down.id,
  });
  expect(node).toEqual({ rating: 'DOWN' });
  const { data, errors } = await app.query(listed, {}, { token: chat.token });
  expect({ data, code: errors[0]?.extensions.code }).toEqual({ data: { it: null }, code: 'FORBIDDEN' });
  // What a user sees of another's answer is not its feedback.
  const seen = await admin.ask('{ feedback(rating: UP) { edges { node { message { feedback { rating } } } } } }');
  expect(seen.feedback.edges).toEqual([{ node: { message: { feedback: null } } }]);
  await chat.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: chat.conversationId });
  expect((await list()).nodes).toEqual([up]);
});

test('Webhooks are told once of each change, without the text of the answer, and of nothing that was deleted', async () => {
  await using receiver = await openReceiver();
  const { chat, admin, answer: messageId } = await openAnswered('t-hooks');
  await createWebhook(admin, receiver.url, ['FEEDBACK_GIVEN']);
  await chat.ask(give, { messageId, rating: 'UP' });
  await chat.ask(give, { messageId, rating: 'UP' });
  await receiver.waitFor(1);
  await chat.ask(give, { messageId, rating: 'DOWN', comment: 'Hm.' });
  const bodies = (await receiver.waitFor(2)).map(({ body }) => JSON.parse(body));
  expect(bodies).toMatchObject([
    { type: 'feedback.given', version: 1, data: { messageId, userId: 'carla', rating: 'UP', comment: null } },
    { type: 'feedback.given', data: { messageId, rating: 'DOWN', comment: 'Hm.', scenarioVersion: 1 } },
  ]);
  expect(JSON.stringify(bodies)).not.toContain('An answer.');
  await chat.ask(give, { messageId, rating: null });
  expect(await app.app.db.webhookDelivery.count({ where: { tenantId: 't-hooks' } })).toBe(0);
});
