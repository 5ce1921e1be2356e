import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { decide, refund, startWaitingTurn } from '../approvals/decide.ts';
import { shareApp } from '../support/app.ts';
import { openChat, openSocketClient } from '../support/chat.ts';

const app = shareApp();

const listed = `query ($status: [RunStatus!], $agentId: ID, $userId: String, $from: DateTime, $to: DateTime, $first: Int, $after: String) {
  it: tenantRuns(status: $status, agentId: $agentId, userId: $userId, from: $from, to: $to, first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { node { id conversationId userId status errorCode durationMs resumedCount createdAt startedAt finishedAt
      agent { id name } usage { totalTokens modelCalls } } } } }`;
const spans = `query ($id: ID!) { it: tenantRun(id: $id) { id status userId spans { kind name toolStatus tokens startedAt finishedAt agent { name } } } }`;

interface Listed {
  readonly id: string;
  readonly status: string;
  readonly userId: string;
}

const openAdmin = (tenant: string) => openSocketClient(app, { tenant, sub: 'ada', roles: ['admin'] });

test('Admins list the runs of all users by each filter, page by page, and nothing that was said', async () => {
  const tenant = `t-${randomUUID()}`;
  const carla = await openChat(app, 'support', { tenant, sub: 'carla' });
  app.model.add({ text: ['A secret', ' answer.'] });
  await carla.readToEnd('A secret question?');
  const dave = await openChat(app, 'assistant', { tenant, sub: 'dave' });
  app.model.add({ text: ['Another secret.'] });
  await dave.readToEnd('A second secret?');
  app.model.add({ misbehave: { status: 400, body: { error: { message: 'a secret of the provider' } } } });
  await dave.readToEnd('A third secret?');
  const admin = await openAdmin(tenant);
  const list = async (variables: Record<string, unknown> = {}) => {
    const { it } = await admin.ask(listed, variables);
    return { total: it.totalCount, page: it.pageInfo, nodes: it.edges.map(({ node }: { node: Listed }) => node) };
  };
  const all = await list();
  expect(all.total).toBe(3);
  const [failed, second, first] = all.nodes;
  expect(all.nodes).toMatchObject([
    { userId: 'dave', status: 'FAILED', errorCode: 'MODEL_ERROR', resumedCount: 0 },
    { userId: 'dave', status: 'COMPLETED', errorCode: null, agent: { name: 'assistant' }, usage: { modelCalls: 1 } },
    { userId: 'carla', status: 'COMPLETED', conversationId: carla.conversationId, agent: { name: 'supervisor' } },
  ]);
  for (const run of all.nodes) expect(run.durationMs).toBe(Date.parse(run.finishedAt) - Date.parse(run.startedAt));
  expect(JSON.stringify(all)).not.toMatch(/secret/i);
  expect((await list({ userId: 'carla' })).nodes).toEqual([first]);
  expect((await list({ status: ['FAILED'] })).nodes).toEqual([failed]);
  expect(await list({ status: ['COMPLETED', 'FAILED', 'FAILED'] })).toMatchObject({ total: 3, nodes: all.nodes });
  expect((await list({ agentId: second.agent.id })).nodes).toEqual([failed, second]);
  expect((await list({ agentId: second.agent.id, status: ['COMPLETED'], userId: 'dave' })).nodes).toEqual([second]);
  expect((await list({ from: second.createdAt, to: failed.createdAt })).nodes).toEqual([second]);
  expect(await list({ userId: 'nobody' })).toMatchObject({ total: 0, nodes: [] });
  for (const filter of [{}, { status: ['FAILED', 'COMPLETED'] }]) {
    const page = await list({ ...filter, first: 2 });
    expect(page).toMatchObject({ nodes: [failed, second], page: { hasNextPage: true } });
    expect(await list({ ...filter, first: 2, after: page.page.endCursor })).toMatchObject({
      nodes: [first],
      page: { hasNextPage: false },
    });
  }
});

test('The runs of a tenant are for its admins: others get FORBIDDEN, and no object of another tenant is shown', async () => {
  const tenant = `t-${randomUUID()}`;
  const carla = await openChat(app, 'support', { tenant, sub: 'carla' });
  app.model.add({ text: ['An answer.'] });
  await carla.readToEnd('A question?');
  const admin = await openAdmin(tenant);
  const { it } = await admin.ask(listed);
  const [{ node: run }] = it.edges;
  const refusals = async (token: string, document: string, variables: Record<string, unknown> = {}) => {
    const { data, errors } = await app.query(document, variables, { token });
    return [data, errors[0]?.extensions.code];
  };
  expect(await refusals(carla.token, listed)).toEqual([{ it: null }, 'FORBIDDEN']);
  expect(await refusals(carla.token, spans, { id: run.id })).toEqual([{ it: null }, 'FORBIDDEN']);
  const stranger = await openAdmin(`t-${randomUUID()}`);
  expect((await stranger.ask(listed)).it).toMatchObject({ totalCount: 0, edges: [] });
  expect(await refusals(stranger.token, spans, { id: run.id })).toEqual([{ it: null }, 'FORBIDDEN']);
  expect(await refusals(stranger.token, listed, { agentId: run.agent.id })).toEqual([{ it: null }, 'FORBIDDEN']);
  const absent = run.id.replace(/.{4}$/, '0000');
  expect(await refusals(admin.token, spans, { id: absent })).toEqual([{ it: null }, 'NOT_FOUND']);
  // What was said stays with its user.
  expect(await refusals(admin.token, 'query ($id: ID!) { it: run(id: $id) { id } }', { id: run.id })).toEqual([
    { it: null },
    'FORBIDDEN',
  ]);
  await carla.ask('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: carla.conversationId });
  expect((await admin.ask(listed)).it.totalCount).toBe(0);
});

test('A run shows what was at work when: models, tools, and the wait for an approval as a part of its own', async () => {
  const tenant = `t-${randomUUID()}`;
  const carla = await openChat(app, 'support', { tenant, sub: 'carla' });
  app.model.add({ calls: [{ name: 'transfer_to_billing', arguments: {} }] }, { calls: [refund('r1', '1046')] });
  const { reader } = await startWaitingTurn(carla, {
    conversationId: carla.conversationId,
    content: 'A secret refund',
  });
  const admin = await openAdmin(tenant);
  const [{ node: run }] = (await admin.ask(listed)).it.edges;
  const read = async () => (await admin.ask(spans, { id: run.id })).it;
  const waiting = await read();
  expect(waiting).toMatchObject({ status: 'REQUIRES_ACTION', userId: 'carla' });
  expect(waiting.spans.at(-1)).toMatchObject({
    kind: 'APPROVAL',
    name: 'refund_order',
    toolStatus: 'AWAITING_APPROVAL',
    finishedAt: null,
  });
  app.model.add({ text: ['Done.'] });
  await decide(carla, reader.events[0]?.runId ?? '', 'r1');
  await reader.rest();
  const { spans: done } = await read();
  expect(
    done.map(({ kind, name }: { kind: string; name: string }) => (kind === 'MODEL' ? kind : `${kind} ${name}`)),
  ).toEqual(['MODEL', 'MODEL', 'APPROVAL refund_order', 'TOOL refund_order', 'MODEL']);
  const approval = done[2];
  expect(approval).toMatchObject({
    agent: { name: 'billing' },
    toolStatus: 'SUCCEEDED',
    finishedAt: done[3].startedAt,
  });
  expect(done[0]).toMatchObject({ agent: { name: 'supervisor' }, toolStatus: null });
  const times = done.map(({ startedAt }: { startedAt: string }) => startedAt);
  expect(times).toEqual(times.toSorted());
  expect(JSON.stringify(done)).not.toMatch(/secret|1046/);
});

test('Arguments of the lists of runs that are wrong are refused by their names', async () => {
  const admin = await openAdmin(`t-${randomUUID()}`);
  const wrong: [Record<string, unknown>, string][] = [
    [{ status: [] }, 'status'],
    [{ agentId: 'agt_1' }, 'agentId'],
    [{ agentId: `conv_${randomUUID()}` }, 'agentId'],
    [{ userId: '' }, 'userId'],
    [{ userId: '\ud800' }, 'userId'],
    [{ first: 101 }, 'first'],
    [{ after: Buffer.from('["tenantRuns",["now","1"]]').toString('base64url') }, 'after'],
  ];
  for (const [variables, path] of wrong) {
    const { errors } = await app.query(listed, variables, { token: admin.token });
    expect(errors, JSON.stringify(variables)).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: [path] } }]);
  }
  const { errors } = await app.query(spans, { id: 'run_1' }, { token: admin.token });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', path: ['id'] } }]);
});
