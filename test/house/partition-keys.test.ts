import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const schema = readFileSync(join(import.meta.dirname, '../../prisma/schema.prisma'), 'utf8');

/** Rows without a tenant of their own: the first part of their key is the id of the row that they belong to. */
const parts: Readonly<Record<string, string>> = {
  speech_chunks: 'clipId',
  handoff_edges: 'scenarioId',
  run_pauses: 'runId',
  run_plans: 'runId',
  run_archives: 'runId',
  run_followers: 'runId',
  run_pieces: 'runId',
  realtime_items: 'conversationId',
  export_pieces: 'exportId',
  attachment_pieces: 'attachmentId',
};

const tables = [...schema.matchAll(/^model (\w+) \{(.*?)^\}/gms)].map(([, model = '', body = '']) => ({
  model,
  body,
  name: /@@map\("(\w+)"\)/.exec(body)?.[1] ?? model,
}));

test('Every row carries its tenant, or is a part of a row that does, by which its table can be divided', () => {
  expect(tables.length).toBeGreaterThan(25);
  const without = tables.filter(({ name, body }) => name !== 'tenants' && !/^\s+tenantId\s+String\s/m.test(body));
  expect(without.map(({ name }) => name).sort()).toEqual(Object.keys(parts).sort());
  for (const { name, body } of without) {
    const key = parts[name] ?? '';
    const isKey = new RegExp(`^\\s+${key}\\s+String\\s+@id\\b|@@id\\(\\[${key}\\b`, 'm');
    expect(isKey.test(body), `${name} begins its key with ${key}`).toBe(true);
  }
});

test('Ids are made in the order of time (UUID, version 7), so that tables can be divided by it', () => {
  const ids = tables.flatMap(({ name, body }) => {
    const id = /^\s+(\w+)\s+String\s+@id\b(.*)$/m.exec(body);
    // What is kept of a message under the message's own id has its order.
    if (id?.[1] === 'messageId') return [];
    return id && / @db\.Uuid/.test(id[2] ?? '') && parts[name] === undefined ? [{ name, rest: id[2] ?? '' }] : [];
  });
  expect(ids.length).toBeGreaterThan(12);
  // Triggers make the deliveries of webhooks, and PostgreSQL makes no such ids before version 18: their number is their order.
  const numbered = ['webhook_deliveries'];
  const random = ids.filter(({ rest }) => !rest.includes('@default(uuid(7))')).map(({ name }) => name);
  expect(random).toEqual(numbered);
  for (const { name, body } of tables) if (numbered.includes(name)) expect(body).toMatch(/^\s+number\s+BigInt\b/m);
});
