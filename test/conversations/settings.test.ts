import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;

beforeAll(async () => {
  graph = await openGraph();
});
afterAll(async () => graph[Symbol.asyncDispose]());

const fields = 'id enabledTools enabledAgents { id name } model temperature maxTokens createdAt updatedAt';
const update = `mutation ($input: UpdateChatSettingsInput!) { updateChatSettings(input: $input) { ${fields} } }`;

async function read(viewer: TestViewer) {
  const { data, errors } = await graph.query(viewer, `{ chatSettings { ${fields} } }`);
  expect(errors).toEqual([]);
  return data.chatSettings;
}

async function change(viewer: TestViewer, input: Record<string, unknown>) {
  const { data, errors } = await graph.query(viewer, update, { input });
  expect(errors).toEqual([]);
  return data.updateChatSettings;
}

async function agentIds(viewer: TestViewer): Promise<Record<string, string>> {
  const { data } = await graph.query(viewer, '{ agents { edges { node { id name } } } }');
  return Object.fromEntries(
    data.agents.edges.map(({ node }: { node: { id: string; name: string } }) => [node.name, node.id]),
  );
}

const defaults = { enabledTools: [], enabledAgents: [], model: null, temperature: 0.7, maxTokens: 2_000 };

describe('settings', () => {
  test('Settings that were never set are the defaults, without a row', async () => {
    const viewer = await graph.viewer('fresh');
    const settings = await read(viewer);
    expect(settings).toMatchObject(defaults);
    expect(settings.id).toMatch(/^set_[0-9a-f-]{36}$/);
    expect(await read(viewer)).toEqual(settings);
    expect(await graph.db.chatSettings.count({ where: { userId: 'fresh' } })).toBe(0);
    expect((await graph.query(viewer, '{ chatSettings { id temperature } }')).statements).toBe(1);
  });

  test('Settings keep their id when they are first set, and leave what is absent', async () => {
    const viewer = await graph.viewer('setter');
    const { billing, orders } = await agentIds(viewer);
    const { id } = await read(viewer);
    expect(await change(viewer, { temperature: 0, model: 'gpt-test' })).toMatchObject({
      ...defaults,
      id,
      temperature: 0,
      model: 'gpt-test',
    });
    const all = await change(viewer, {
      maxTokens: 32_000,
      enabledTools: ['current_time', 'lookup_order', 'current_time'],
      enabledAgents: [orders, billing],
    });
    expect(all).toMatchObject({
      id,
      temperature: 0,
      model: 'gpt-test',
      maxTokens: 32_000,
      enabledTools: ['current_time', 'lookup_order'],
      enabledAgents: [
        { id: orders, name: 'orders' },
        { id: billing, name: 'billing' },
      ],
    });
    expect(await read(viewer)).toEqual(all);
  });

  test('A setting of null returns to the default', async () => {
    const viewer = await graph.viewer('resetter');
    const { billing } = await agentIds(viewer);
    await change(viewer, {
      temperature: 2,
      model: 'm',
      maxTokens: 1,
      enabledTools: ['current_time'],
      enabledAgents: [billing],
    });
    const nothing = { temperature: null, model: null, maxTokens: null, enabledTools: null, enabledAgents: null };
    expect(await change(viewer, nothing)).toMatchObject(defaults);
    expect(await read(viewer)).toMatchObject(defaults);
  });

  test('Each viewer has settings of their own', async () => {
    const one = await graph.viewer('one');
    const two = await graph.viewer('two');
    const namesake = await graph.viewer('one', 'elsewhere');
    await change(one, { temperature: 1.5 });
    expect(await read(two)).toMatchObject(defaults);
    expect(await read(namesake)).toMatchObject(defaults);
    expect(new Set([(await read(one)).id, (await read(two)).id, (await read(namesake)).id]).size).toBe(3);
  });

  test('Settings that many set first at the same time are one row with everybody’s fields', async () => {
    const viewer = await graph.viewer('racer');
    const { billing, orders } = await agentIds(viewer);
    await Promise.all([
      change(viewer, { temperature: 1 }),
      change(viewer, { maxTokens: 77 }),
      change(viewer, { model: 'raced' }),
      change(viewer, { enabledTools: ['current_time'] }),
      change(viewer, { enabledAgents: [billing, orders] }),
      change(viewer, { enabledAgents: [billing, orders] }),
    ]);
    expect(await read(viewer)).toMatchObject({
      temperature: 1,
      maxTokens: 77,
      model: 'raced',
      enabledTools: ['current_time'],
      enabledAgents: [{ id: billing }, { id: orders }],
    });
    expect(await graph.db.chatSettings.count({ where: { userId: 'racer' } })).toBe(1);
  });

  test.each<[string, Record<string, unknown>, (string | number)[]]>([
    ['a temperature below 0', { temperature: -0.1 }, ['temperature']],
    ['a temperature above 2', { temperature: 2.1 }, ['temperature']],
    ['no tokens', { maxTokens: 0 }, ['maxTokens']],
    ['too many tokens', { maxTokens: 32_001 }, ['maxTokens']],
    ['an empty model', { model: '' }, ['model']],
    ['a long model', { model: 'm'.repeat(201) }, ['model']],
    ['101 tools', { enabledTools: Array.from({ length: 101 }, (_, index) => `t${index}`) }, ['enabledTools']],
    ['a tool with a blank', { enabledTools: ['ok', 'not ok'] }, ['enabledTools', 1]],
    ['a tool that does not exist', { enabledTools: ['current_time', 'no_such_tool'] }, ['enabledTools', 1]],
    ['an agent id that is none', { enabledAgents: ['x'] }, ['enabledAgents', 0]],
  ])('Settings refuse %s and change nothing', async (_what, input, path) => {
    const viewer = await graph.viewer('wrong');
    const before = await read(viewer);
    const { data, errors } = await graph.query(viewer, update, { input: { model: 'changed', ...input } });
    expect(data).toBeNull();
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path: ['input', ...path] })]);
    expect(await read(viewer)).toEqual(before);
  });

  test('Settings accept only agents that the viewer may use', async () => {
    const viewer = await graph.viewer('chooser');
    const stranger = await graph.viewer('chooser', 'elsewhere');
    const code = async (id: string | undefined) =>
      (await graph.query(viewer, update, { input: { enabledAgents: [id] } })).errors[0]?.code;
    const { billing: foreign } = await agentIds(stranger);
    expect(await code(foreign)).toBe('FORBIDDEN');
    expect(await code(`agt_${randomUUID()}`)).toBe('NOT_FOUND');
  });

  test('Settings need a token', async () => {
    expect((await graph.query(null, '{ chatSettings { id } }')).errors[0]?.code).toBe('UNAUTHENTICATED');
  });
});
