import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { openReceiver, verify } from './receiver.ts';
import { createDocument, createWebhook, listDeliveries, localReceivers, openAdmin, tellOfRun } from './support.ts';

const app = shareApp({ env: localReceivers });
const url = 'http://127.0.0.1:9/desk';

test.each([
  ['no URL', { url: 'desk' }, ['input', 'url'], 'http'],
  ['another protocol', { url: 'ftp://example.com/' }, ['input', 'url'], 'http'],
  ['a password', { url: 'https://a:b@example.com/' }, ['input', 'url'], 'password'],
  ['a fragment', { url: 'https://example.com/#a' }, ['input', 'url'], 'fragment'],
  ['2,001 characters', { url: `https://example.com/${'a'.repeat(1_981)}` }, ['input', 'url'], '2,000'],
  ['a private address', { url: 'http://10.0.0.1/' }, ['input', 'url'], 'MODEL_ALLOWED_HOSTS'],
  ['a metadata service', { url: 'http://169.254.169.254/' }, ['input', 'url'], 'metadata'],
  ['no event', { url, events: [] }, ['input', 'events'], 'one event'],
])('A webhook with %s is refused by name, and nothing is written', async (_what, input, path, words) => {
  const admin = await openAdmin(app);
  const { errors } = await app.query(
    createDocument,
    { input: { events: ['RUN_ENDED'], ...input } },
    { token: admin.token },
  );
  expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', path });
  expect(errors[0]?.message).toContain(words);
  expect(await app.app.db.webhook.count({ where: { tenantId: admin.tenant } })).toBe(0);
});

test('Whoever is no admin sees no webhook and changes none', async () => {
  const admin = await openAdmin(app);
  const { id } = await createWebhook(admin, url);
  const user = await openSocketClient(app, { sub: 'bob', tenant: admin.tenant });
  const list = await app.query('{ webhooks { totalCount } viewer { userId } }', {}, { token: user.token });
  expect(list.data).toEqual({ webhooks: null, viewer: { userId: 'bob' } });
  expect(list.errors[0]?.extensions.code).toBe('FORBIDDEN');
  const input = { url, events: ['RUN_ENDED'] };
  for (const [document, variables] of [
    [createDocument, { input }],
    ['mutation ($id: ID!, $input: WebhookInput!) { updateWebhook(id: $id, input: $input) { id } }', { id, input }],
    ['mutation ($id: ID!) { rotateWebhookSecret(id: $id) { secret } }', { id }],
    ['mutation ($id: ID!) { deleteWebhook(id: $id) }', { id }],
    ['mutation ($id: ID!) { replayWebhookDelivery(id: $id) { id } }', { id: `whd_${randomUUID()}` }],
    ['query ($id: ID!) { node(id: $id) { id } }', { id }],
  ] as const) {
    const { errors } = await app.query(document, variables, { token: user.token });
    expect(errors[0]?.extensions.code, document).toBe('FORBIDDEN');
  }
});

test('Another tenant’s webhook and delivery are FORBIDDEN, absent ones NOT_FOUND, and other ids BAD_USER_INPUT', async () => {
  const [admin, other] = [await openAdmin(app), await openAdmin(app)];
  const { id } = await createWebhook(other, url);
  await tellOfRun(app, other.tenant);
  const [delivery] = await listDeliveries(other, id);
  const codeOf = async (document: string, given: string) => {
    const { errors } = await app.query(document, { id: given }, { token: admin.token });
    return errors[0]?.extensions.code;
  };
  const ofWebhook = ['query ($id: ID!) { node(id: $id) { id } }'].concat(
    ['rotateWebhookSecret(id: $id) { secret }', 'deleteWebhook(id: $id)'].map(
      (field) => `mutation ($id: ID!) { ${field} }`,
    ),
  );
  const ofDelivery = [
    'query ($id: ID!) { node(id: $id) { id } }',
    'mutation ($id: ID!) { replayWebhookDelivery(id: $id) { id } }',
  ];
  for (const document of ofWebhook) {
    expect(await codeOf(document, id)).toBe('FORBIDDEN');
    expect(await codeOf(document, `wh_${randomUUID()}`)).toBe('NOT_FOUND');
    expect(await codeOf(document, 'wh_1')).toBe('BAD_USER_INPUT');
  }
  for (const document of ofDelivery) {
    expect(await codeOf(document, delivery.id)).toBe('FORBIDDEN');
    expect(await codeOf(document, `whd_${randomUUID()}`)).toBe('NOT_FOUND');
  }
  expect(await app.app.db.webhook.count({ where: { tenantId: other.tenant } })).toBe(1);
});

test('The secret is shown once, stored encrypted, and in no answer, row or log line after that', async () => {
  const admin = await openAdmin(app);
  const { id, secret } = await createWebhook(admin, url);
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const read = await admin.ask(
    '{ webhooks { edges { node { id url events isActive secretHint createdAt updatedAt } } } }',
  );
  expect(read.webhooks.edges).toMatchObject([{ node: { id, secretHint: secret.slice(-4) } }]);
  expect(JSON.stringify(read)).not.toContain(secret);
  const rows = await app.app.db.secret.findMany({ where: { tenantId: admin.tenant } });
  expect(rows).toMatchObject([{ name: 'current', sealed: expect.stringMatching(/^ey/) }]);
  expect(JSON.stringify(rows)).not.toContain(secret.slice('whsec_'.length));
  expect(JSON.stringify(app.logs)).not.toContain(secret);
});

test('After a rotation both secrets verify each request, and after a day only the new one', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { id, secret } = await createWebhook(admin, receiver.url);
  const rotate = 'mutation ($id: ID!) { rotateWebhookSecret(id: $id) { secret webhook { id secretHint } } }';
  const { rotateWebhookSecret: rotated } = await admin.ask(rotate, { id });
  expect(rotated.secret).not.toBe(secret);
  expect(rotated.webhook).toEqual({ id, secretHint: rotated.secret.slice(-4) });
  await tellOfRun(app, admin.tenant);
  const [both] = await receiver.waitFor(1);
  if (both === undefined) throw new Error('Nothing was received.');
  expect(verify(secret, both)).toEqual(verify(rotated.secret, both));
  await app.app.db.webhook.updateMany({ where: { tenantId: admin.tenant }, data: { overlapEndsAt: new Date(0) } });
  await tellOfRun(app, admin.tenant);
  const [, later] = await receiver.waitFor(2);
  if (later === undefined) throw new Error('Nothing was received.');
  verify(rotated.secret, later);
  expect(() => verify(secret, later)).toThrow('No matching signature');
  expect(() => verify(rotated.secret, { ...later, body: `${later.body} ` })).toThrow('No matching signature');
});

test('A tenant has at most 20 webhooks, also if they are created at the same moment', async () => {
  const admin = await openAdmin(app);
  const answers = await Promise.all(
    Array.from({ length: 23 }, () =>
      app.query(createDocument, { input: { url, events: ['RUN_ENDED'] } }, { token: admin.token }),
    ),
  );
  const codes = answers.flatMap(({ errors }) => errors.map(({ extensions }) => extensions.code));
  expect(codes).toEqual(['CONFLICT', 'CONFLICT', 'CONFLICT']);
  const { webhooks } = await admin.ask(
    '{ webhooks(first: 5) { totalCount edges { node { id } } pageInfo { hasNextPage } } }',
  );
  expect(webhooks).toMatchObject({ totalCount: 20, pageInfo: { hasNextPage: true } });
});
