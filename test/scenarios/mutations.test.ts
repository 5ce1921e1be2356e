import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, openGraph, startTestApp, type TestViewer } from '../support/app.ts';
import { addProject } from '../support/projects.ts';

let graph: Graph;
let admin: TestViewer;
let alice: TestViewer;
/** Ids of the tenant's agents, by name. */
let ids: Record<string, string>;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  admin = await meetAdmin('acme');
  await graph.db.agent.createMany({
    data: [
      { tenantId: 'acme', name: 'off', instructions: 'Hi.', isActive: false },
      { tenantId: 'acme', name: 'gone', instructions: 'Hi.', deletedAt: new Date() },
      { tenantId: 'acme', name: 'own', instructions: 'Hi.', ownerId: 'root' },
      { tenantId: 'acme', name: 'hers', instructions: 'Hi.', ownerId: 'alice' },
    ],
  });
  ids = await agentIds('acme');
  for (const key of ['p', 'north', 'south']) await addProject(graph.db, key, { alice: 'EDITOR' });
});
afterAll(async () => graph[Symbol.asyncDispose]());

async function meetAdmin(tenant: string): Promise<TestViewer> {
  const viewer = await graph.viewer('root', tenant);
  return { ...viewer, token: await graph.app.token({ sub: 'root', tenant, roles: ['admin'] }) };
}

async function agentIds(tenantId: string): Promise<Record<string, string>> {
  const rows = await graph.db.agent.findMany({ where: { tenantId } });
  return Object.fromEntries(rows.map((row) => [row.name, `agt_${row.id}`]));
}

const guardrailFields = `name stages action mode window onError check { __typename
  ... on ModerationCheck { model categories threshold } ... on ClassifierCheck { agent { name } question }
  ... on PatternCheck { patterns } ... on PiiCheck { kinds } }`;
const fields = `id key name description projectId guardrails { ${guardrailFields} } isActive version rootAgent { name }
  agents { isRoot agent { name } handoffs { description toAgent { name } } }`;
const create = `mutation ($input: ScenarioInput!) { createScenario(input: $input) { ${fields} } }`;
const update = `mutation ($id: ID!, $input: ScenarioInput!) { updateScenario(id: $id, input: $input) { ${fields} } }`;
const remove = `mutation ($id: ID!) { deleteScenario(id: $id) }`;
const begin = `mutation ($input: CreateConversationInput!) { createConversation(input: $input) { id scenario { id } activeAgent { name } } }`;

async function ask(document: string, variables: Record<string, unknown>, viewer = admin) {
  const { data, errors } = await graph.query(viewer, document, variables);
  expect(errors).toEqual([]);
  return data;
}

/** All scenarios as they are, and how many members and handoffs they have. */
const readAll = async () => [
  await graph.db.scenario.findMany({ orderBy: { id: 'asc' } }),
  await graph.db.scenarioAgent.count(),
  await graph.db.handoffEdge.count(),
];

/** A member as the input has it. */
const member = (agent: string, ...to: string[]) => ({
  agentId: ids[agent] ?? agent,
  handoffs: to.map((name) => ({ toAgentId: ids[name] ?? name })),
});

function inputOf(changes: Record<string, unknown> = {}) {
  return {
    key: `k${randomUUID()}`,
    name: 'A scenario',
    rootAgentId: ids.supervisor,
    agents: [member('supervisor', 'billing'), member('billing', 'supervisor')],
    ...changes,
  };
}

const guard = (changes: Record<string, unknown> = {}) => {
  return { name: 'guard', stages: ['OUTPUT'], check: { pii: ['EMAIL'] }, ...changes };
};
const patterned = (pattern: string) => ({ guardrails: [guard({ check: { patterns: [pattern] } })] });
const classified = (agent: string) => {
  return { guardrails: [guard({ check: { classifier: { agentId: ids[agent], question: 'Is it rude?' } } })] };
};

const newScenario = async (changes: Record<string, unknown> = {}) =>
  (await ask(create, { input: inputOf(changes) })).createScenario;

describe('createScenario', () => {
  test('createScenario makes the scenario of its input, and the front end reads it back', async () => {
    const guardrails = [
      { name: 'mail', stages: ['OUTPUT'], check: { pii: ['EMAIL'] }, action: 'REDACT', mode: 'HOLD_BACK', window: 40 },
      { name: 'words', stages: ['INPUT'], check: { patterns: ['(?i)secret'] } },
      { name: 'moderated', stages: ['INPUT', 'OUTPUT'], check: { moderation: { threshold: 0.5 } }, onError: 'OPEN' },
      { name: 'judged', stages: ['INPUT'], check: { classifier: { agentId: ids.billing, question: 'Is it rude?' } } },
    ];
    const usual = { action: 'BLOCK', mode: 'BLOCKING', window: null, onError: 'CLOSED' };
    const input = inputOf({
      key: 'made.v1_x-2',
      description: 'What it is for.',
      guardrails,
      agents: [
        { agentId: ids.billing, handoffs: [{ toAgentId: ids.supervisor, description: 'Anything else.' }] },
        {
          agentId: ids.supervisor,
          handoffs: [{ toAgentId: ids.orders }, { toAgentId: ids.billing, description: null }],
        },
        { agentId: ids.orders, handoffs: [] },
      ],
    });
    const { createScenario } = await ask(create, { input });
    expect(createScenario).toEqual({
      id: expect.stringMatching(/^scn_/),
      key: 'made.v1_x-2',
      name: 'A scenario',
      description: 'What it is for.',
      projectId: null,
      guardrails: [
        { ...usual, ...guardrails[0], check: { __typename: 'PiiCheck', kinds: ['EMAIL'] } },
        { ...usual, ...guardrails[1], check: { __typename: 'PatternCheck', patterns: ['(?i)secret'] } },
        {
          ...usual,
          ...guardrails[2],
          check: { __typename: 'ModerationCheck', model: 'omni-moderation-latest', categories: [], threshold: 0.5 },
        },
        {
          ...usual,
          ...guardrails[3],
          check: { __typename: 'ClassifierCheck', agent: { name: 'billing' }, question: 'Is it rude?' },
        },
      ],
      isActive: true,
      version: 1,
      rootAgent: { name: 'supervisor' },
      agents: [
        {
          isRoot: true,
          agent: { name: 'supervisor' },
          handoffs: [
            { toAgent: { name: 'orders' }, description: null },
            { toAgent: { name: 'billing' }, description: null },
          ],
        },
        {
          isRoot: false,
          agent: { name: 'billing' },
          handoffs: [{ toAgent: { name: 'supervisor' }, description: 'Anything else.' }],
        },
        { isRoot: false, agent: { name: 'orders' }, handoffs: [] },
      ],
    });
    const { scenario } = await ask(`query { scenario(key: "made.v1_x-2") { ${fields} } }`, {}, alice);
    expect(scenario).toEqual(createScenario);
  });

  test('Of 20 calls of createScenario with one key at the same time one succeeds; the others are told', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => graph.query(admin, create, { input: inputOf({ key: 'one' }) })),
    );
    expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(1);
    for (const { errors } of answers) {
      for (const error of errors) {
        expect(error).toMatchObject({ code: 'CONFLICT', message: 'There is already a scenario with the key "one".' });
      }
    }
    expect(await graph.db.scenario.count({ where: { tenantId: 'acme', key: 'one' } })).toBe(1);
  });

  test('createScenario accepts a graph of 100 agents with all handoffs', async () => {
    await graph.db.agent.createMany({
      data: Array.from({ length: 100 }, (_, n) => ({ tenantId: 'acme', name: `crowd_${n}`, instructions: 'Hi.' })),
    });
    const crowd = Object.entries(await agentIds('acme')).flatMap(([name, id]) =>
      name.startsWith('crowd_') ? [id] : [],
    );
    const agents = crowd.map((agentId) => ({
      agentId,
      handoffs: crowd.filter((id) => id !== agentId).map((toAgentId) => ({ toAgentId })),
    }));
    const document = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
    const { createScenario } = await ask(document, { input: inputOf({ rootAgentId: crowd[0], agents }) });
    const scenarioId = createScenario.id.slice(4);
    expect(await graph.db.handoffEdge.count({ where: { scenarioId } })).toBe(9_900);
  });
});

describe('wrong input of scenario mutations', () => {
  const absent = `agt_${randomUUID()}`;
  const cases: [what: string, changes: () => Record<string, unknown>, path: (string | number)[], says: RegExp][] = [
    [
      'a root outside',
      () => ({ rootAgentId: ids.orders }),
      ['rootAgentId'],
      /"orders" is not an agent of the scenario/,
    ],
    ['no members', () => ({ agents: [] }), ['rootAgentId'], /"supervisor" is not an agent of the scenario/],
    [
      'a dangling handoff',
      () => ({ agents: [member('supervisor', 'billing'), member('billing', 'supervisor', 'orders')] }),
      ['agents', 1, 'handoffs', 1, 'toAgentId'],
      /input\.agents\.1\.handoffs\.1\.toAgentId: "billing" hands off to "orders", which is not an agent of the scenario/,
    ],
    [
      'a handoff to an agent that does not exist',
      () => ({ agents: [member('supervisor', 'billing', absent), member('billing')] }),
      ['agents', 0, 'handoffs', 1, 'toAgentId'],
      new RegExp(`"supervisor" hands off to "${absent}"`),
    ],
    [
      'a handoff to itself',
      () => ({ agents: [member('supervisor', 'supervisor', 'billing'), member('billing')] }),
      ['agents', 0, 'handoffs', 0, 'toAgentId'],
      /"supervisor" cannot hand off to itself/,
    ],
    [
      'a handoff twice',
      () => ({ agents: [member('supervisor', 'billing', 'billing'), member('billing')] }),
      ['agents', 0, 'handoffs', 1, 'toAgentId'],
      /"supervisor" hands off to "billing" twice/,
    ],
    [
      'a member twice',
      () => ({ agents: [member('supervisor', 'billing'), member('billing'), member('supervisor')] }),
      ['agents', 2, 'agentId'],
      /"supervisor" is duplicated/,
    ],
    [
      'a member that cannot be reached',
      () => ({ agents: [member('supervisor', 'billing'), member('billing'), member('orders', 'supervisor')] }),
      ['agents', 2, 'agentId'],
      /"orders" cannot be reached from the root "supervisor" by handoffs/,
    ],
    [
      'a circle that cannot be reached',
      () => ({ agents: [member('supervisor'), member('billing', 'orders'), member('orders', 'billing')] }),
      ['agents', 1, 'agentId'],
      /"billing" cannot be reached from the root "supervisor" by handoffs/,
    ],
    [
      'an inactive member',
      () => ({ agents: [member('supervisor', 'off'), member('off')] }),
      ['agents', 1, 'agentId'],
      /names an agent that is not active: "off"/,
    ],
    [
      'a deleted member',
      () => ({ agents: [member('supervisor', 'gone'), member('gone')] }),
      ['agents', 1, 'agentId'],
      /names an agent that was deleted: "gone"/,
    ],
    [
      'an agent of one’s own',
      () => ({ agents: [member('supervisor', 'own'), member('own')] }),
      ['agents', 1, 'agentId'],
      /agent of your own, "own"/,
    ],
    [
      'an id of something else',
      () => ({ rootAgentId: `scn_${randomUUID()}` }),
      ['rootAgentId'],
      /not an id of type Agent/,
    ],
    ['no key', () => ({ key: '' }), ['key'], /1 to 255 characters/],
    ['a key with a space', () => ({ key: 'a b' }), ['key'], /letters, digits/],
    ['a long key', () => ({ key: 'k'.repeat(256) }), ['key'], /1 to 255 characters/],
    ['no name', () => ({ name: '' }), ['name'], /1 to 255 characters/],
    ['a long description', () => ({ description: 'd'.repeat(2_001) }), ['description'], /1 to 2,000 characters/],
    ['an empty project', () => ({ projectId: '' }), ['projectId'], /1 to 255 characters/],
    [
      '21 guardrails',
      () => ({ guardrails: Array.from({ length: 21 }, (_, n) => guard({ name: `g${n}` })) }),
      ['guardrails'],
      /at most 20/,
    ],
    [
      'two guardrails of a name',
      () => ({ guardrails: [guard(), guard()] }),
      ['guardrails', 1, 'name'],
      /must be unique/,
    ],
    [
      'a guardrail without a stage',
      () => ({ guardrails: [guard({ stages: [] })] }),
      ['guardrails', 0, 'stages'],
      /must not be empty/,
    ],
    ['a pattern with U+0000', () => patterned('\u0000'), ['guardrails', 0, 'check', 'patterns', 0], /U\+0000/],
    [
      'a pattern with a lookahead',
      () => patterned('a(?=b)'),
      ['guardrails', 0, 'check', 'patterns', 0],
      /pattern of RE2/,
    ],
    [
      'a pattern for nothing',
      () => patterned('x*'),
      ['guardrails', 0, 'check', 'patterns', 0],
      /must not match the empty text/,
    ],
    [
      'a window without HOLD_BACK',
      () => ({ guardrails: [guard({ window: 10 })] }),
      ['guardrails', 0, 'window'],
      /HOLD_BACK only/,
    ],
    [
      'a window of 0',
      () => ({ guardrails: [guard({ mode: 'HOLD_BACK', window: 0 })] }),
      ['guardrails', 0, 'window'],
      /1 to 4,000/,
    ],
    [
      'a redaction beside the model',
      () => ({ guardrails: [guard({ stages: ['INPUT'], mode: 'PARALLEL', action: 'REDACT' })] }),
      ['guardrails', 0, 'mode'],
      /cannot be PARALLEL at INPUT/,
    ],
    [
      'a threshold of 2',
      () => ({ guardrails: [guard({ check: { moderation: { threshold: 2 } } })] }),
      ['guardrails', 0, 'check', 'moderation', 'threshold'],
      /from 0 to 1/,
    ],
    [
      'a classifier of one’s own',
      () => classified('own'),
      ['guardrails', 0, 'check', 'classifier', 'agentId'],
      /must be shared/,
    ],
    [
      'an inactive classifier',
      () => classified('off'),
      ['guardrails', 0, 'check', 'classifier', 'agentId'],
      /not active/,
    ],
    [
      'a deleted classifier',
      () => classified('gone'),
      ['guardrails', 0, 'check', 'classifier', 'agentId'],
      /was deleted/,
    ],
    [
      'a long description of a handoff',
      () => ({
        agents: [
          { agentId: ids.supervisor, handoffs: [{ toAgentId: ids.billing, description: 'd'.repeat(2_001) }] },
          member('billing'),
        ],
      }),
      ['agents', 0, 'handoffs', 0, 'description'],
      /1 to 2,000 characters/,
    ],
    [
      'more than 100 members',
      () => ({ agents: Array.from({ length: 101 }, () => member('supervisor')) }),
      ['agents'],
      /at most 100/,
    ],
    [
      'more than 100 handoffs',
      () => ({ agents: [member('supervisor', ...Array.from({ length: 101 }, () => 'billing')), member('billing')] }),
      ['agents', 0, 'handoffs'],
      /at most 100/,
    ],
  ];

  test.each(cases)(
    'A scenario mutation names the wrong field and writes nothing: %s',
    async (_what, changes, path, says) => {
      const there = await newScenario();
      const before = await readAll();
      const input = inputOf(changes());
      for (const { errors } of [
        await graph.query(admin, create, { input }),
        await graph.query(admin, update, { id: there.id, input }),
      ]) {
        expect(errors).toMatchObject([{ code: 'BAD_USER_INPUT', path: ['input', ...path] }]);
        expect(errors[0]?.message).toMatch(says);
      }
      expect(await readAll()).toEqual(before);
    },
  );

  test('A scenario cannot have an agent that does not exist, or one of somebody else', async () => {
    await meetAdmin('elsewhere');
    const foreign = (await agentIds('elsewhere')).billing;
    const code = async (agent: string | undefined) =>
      (
        await graph.query(admin, create, {
          input: inputOf({ agents: [member('supervisor', `${agent}`), member(`${agent}`)] }),
        })
      ).errors;
    expect(await code(absent)).toMatchObject([
      { code: 'NOT_FOUND', message: expect.stringContaining('agents.1.agentId') },
    ]);
    expect(await code(ids.hers)).toMatchObject([{ code: 'FORBIDDEN' }]);
    expect(await code(foreign)).toMatchObject([{ code: 'FORBIDDEN' }]);
    // Nor is its name told.
    const dangling = {
      input: inputOf({ agents: [member('supervisor', 'billing', `${ids.hers}`), member('billing')] }),
    };
    const { errors } = await graph.query(admin, create, dangling);
    expect(errors[0]?.message).toContain(ids.hers);
    expect(errors[0]?.message).not.toContain('"hers"');
  });
});

describe('updateScenario', () => {
  test('updateScenario replaces the scenario as a whole and increments its version', async () => {
    const { id } = await newScenario({
      description: 'Before.',
      guardrails: [guard()],
      isActive: false,
      projectId: 'p',
    });
    const { updateScenario } = await ask(update, {
      id,
      input: { key: 'renamed', name: 'After', rootAgentId: ids.orders, agents: [member('orders')] },
    });
    expect(updateScenario).toEqual({
      id,
      key: 'renamed',
      name: 'After',
      description: null,
      projectId: null,
      guardrails: [],
      isActive: true,
      version: 2,
      rootAgent: { name: 'orders' },
      agents: [{ isRoot: true, agent: { name: 'orders' }, handoffs: [] }],
    });
  });

  test('20 calls of updateScenario at the same time all count, and the result is one of them and no mixture', async () => {
    const { id } = await newScenario();
    const others = ['billing', 'orders', 'human_escalation', 'assistant'];
    const inputs = Array.from({ length: 20 }, (_, n) => {
      const other = others[n % 4] ?? '';
      return inputOf({ name: `${n} ${other}`, agents: [member('supervisor', other), member(other, 'supervisor')] });
    });
    const answers = await Promise.all(inputs.map((input) => graph.query(admin, update, { id, input })));
    expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
    const versions = answers.map(({ data }) => data.updateScenario.version);
    expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 2));
    const { scenario } = await ask(`query ($id: ID!) { scenario(id: $id) { ${fields} } }`, { id });
    const [, other] = scenario.name.split(' ');
    expect(scenario.version).toBe(21);
    expect(scenario.agents.map((entry: { agent: { name: string } }) => entry.agent.name)).toEqual([
      'supervisor',
      other,
    ]);
    expect(scenario.agents[1].handoffs).toEqual([{ toAgent: { name: 'supervisor' }, description: null }]);
  });

  test('updateScenario to a key that is taken is a conflict, and changes nothing', async () => {
    const taken = await newScenario();
    const { id, key } = await newScenario();
    const { errors } = await graph.query(admin, update, { id, input: inputOf({ key: taken.key }) });
    expect(errors).toMatchObject([{ code: 'CONFLICT', message: expect.stringContaining(taken.key) }]);
    expect(await graph.db.scenario.findUnique({ where: { id: id.slice(4) } })).toMatchObject({ key, version: 1 });
  });
});

test('Only admins of the tenant change scenarios', async () => {
  const there = await newScenario();
  const stranger = await meetAdmin('elsewhere');
  const before = await readAll();
  const tries: [string, Record<string, unknown>][] = [
    [create, { input: inputOf() }],
    [update, { id: there.id, input: inputOf() }],
    [remove, { id: there.id }],
  ];
  for (const [document, variables] of tries) {
    expect((await graph.query(alice, document, variables)).errors).toMatchObject([{ code: 'FORBIDDEN' }]);
    expect((await graph.query(null, document, variables)).errors).toMatchObject([{ code: 'UNAUTHENTICATED' }]);
  }
  for (const [document, variables] of tries.slice(1)) {
    expect((await graph.query(stranger, document, variables)).errors).toMatchObject([{ code: 'FORBIDDEN' }]);
    const absent = { ...variables, id: `scn_${randomUUID()}` };
    expect((await graph.query(admin, document, absent)).errors).toMatchObject([{ code: 'NOT_FOUND' }]);
    const malformed = { ...variables, id: ids.billing };
    expect((await graph.query(admin, document, malformed)).errors).toMatchObject([
      { code: 'BAD_USER_INPUT', path: ['id'] },
    ]);
  }
  expect(await readAll()).toEqual(before);
});

describe('deleteScenario', () => {
  test('deleteScenario deletes a scenario that nobody uses', async () => {
    const { id } = await newScenario();
    expect(await ask(remove, { id })).toEqual({ deleteScenario: id });
    expect((await graph.query(admin, remove, { id })).errors).toMatchObject([{ code: 'NOT_FOUND' }]);
  });

  test('deleteScenario leaves a scenario that conversations use; it can be switched off: they stay, no new ones begin', async () => {
    const { id, key } = await newScenario();
    const input = { scenarioKey: key };
    for (const _ of [1, 2]) await ask(begin, { input }, alice);
    const { errors } = await graph.query(admin, remove, { id });
    expect(errors).toMatchObject([
      { code: 'CONFLICT', message: expect.stringMatching(/^2 conversations use.*isActive/) },
    ]);
    await ask(update, { id, input: inputOf({ key, isActive: false }) });
    expect((await graph.query(alice, begin, { input })).errors).toMatchObject([{ code: 'BAD_USER_INPUT' }]);
    expect(await graph.db.conversation.count({ where: { scenarioId: id.slice(4) } })).toBe(2);
  });

  test('deleteScenario and conversations that begin at the same moment: never an error, never a dangling one', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { id, key } = await newScenario();
      const [deleted, ...begun] = await Promise.all([
        graph.query(admin, remove, { id }),
        ...Array.from({ length: 4 }, () => graph.query(alice, begin, { input: { scenarioKey: key } })),
      ]);
      for (const { errors } of [deleted, ...begun]) {
        for (const { code } of errors) expect(code).toMatch(/^(CONFLICT|NOT_FOUND)$/);
      }
      const isThere = (await graph.db.scenario.count({ where: { id: id.slice(4) } })) === 1;
      const uses = begun.filter(({ errors }) => errors.length === 0).length;
      expect(isThere).toBe(uses > 0);
    }
  });
});

test('An agent that is deleted while scenarios take it in: one of the two is told', async () => {
  for (let round = 0; round < 5; round += 1) {
    const name = `victim_${round}`;
    const row = await graph.db.agent.create({ data: { tenantId: 'acme', name, instructions: 'Hi.' } });
    const agentId = `agt_${row.id}`;
    const agents = [{ agentId: ids.supervisor, handoffs: [{ toAgentId: agentId }] }, member(agentId)];
    const [deleted, ...made] = await Promise.all([
      graph.query(admin, 'mutation ($id: ID!) { deleteAgent(id: $id) }', { id: agentId }),
      ...Array.from({ length: 3 }, () => graph.query(admin, create, { input: inputOf({ agents }) })),
    ]);
    for (const { errors } of made) {
      for (const error of errors) expect(error.message).toContain('was deleted');
    }
    const inScenarios = await graph.db.scenarioAgent.count({ where: { agentId: row.id } });
    expect(inScenarios).toBe(made.filter(({ errors }) => errors.length === 0).length);
    if (inScenarios > 0) expect(deleted.errors).toMatchObject([{ code: 'CONFLICT' }]);
    else expect(deleted.errors).toEqual([]);
  }
});

describe('projects', () => {
  test('Projects have scenarios of their own, which take precedence over the tenant’s of the same key', async () => {
    const all = await newScenario({ key: 'sales', name: 'All' });
    const own = await newScenario({ key: 'sales', name: 'Own', projectId: 'north', rootAgentId: ids.billing });
    const conflict = await graph.query(admin, create, { input: inputOf({ key: 'sales', projectId: 'north' }) });
    expect(conflict.errors).toMatchObject([
      { code: 'CONFLICT', message: 'There is already a scenario with the key "sales" in the project "north".' },
    ]);
    const only = await newScenario({ key: 'only', projectId: 'north' });

    const named = async (args: string) =>
      (await graph.query(alice, `{ scenario(key: ${args}) { name } }`)).data?.scenario;
    expect(await named('"sales"')).toEqual({ name: 'All' });
    expect(await named('"sales", projectId: "north"')).toEqual({ name: 'Own' });
    expect(await named('"sales", projectId: "south"')).toEqual({ name: 'All' });
    expect(await named('"only"')).toBeNull();

    const begun = async (input: Record<string, unknown>) => (await ask(begin, { input }, alice)).createConversation;
    expect(await begun({ scenarioKey: 'sales' })).toMatchObject({ scenario: { id: all.id } });
    expect(await begun({ scenarioKey: 'sales', projectId: 'south' })).toMatchObject({ scenario: { id: all.id } });
    const conversation = await begun({ scenarioKey: 'sales', projectId: 'north' });
    expect(conversation).toMatchObject({ scenario: { id: own.id }, activeAgent: { name: 'billing' } });
    expect((await graph.query(alice, begin, { input: { scenarioKey: 'only' } })).errors).toMatchObject([
      { code: 'NOT_FOUND' },
    ]);
    await ask(update, { id: own.id, input: inputOf({ key: 'sales', projectId: 'north', isActive: false }) });
    expect(
      (await graph.query(alice, begin, { input: { scenarioKey: 'sales', projectId: 'north' } })).errors,
    ).toMatchObject([{ code: 'BAD_USER_INPUT', path: ['input', 'scenarioKey'] }]);
    // Another scenario of the conversation is looked for in its project, too.
    const change = `mutation ($id: ID!, $input: UpdateConversationInput!) {
      updateConversation(id: $id, input: $input) { scenario { id } } }`;
    const moved = await ask(change, { id: conversation.id, input: { scenarioKey: 'only' } }, alice);
    expect(moved.updateConversation).toEqual({ scenario: { id: only.id } });

    const list = `query ($projectId: String) { scenarios(first: 100, projectId: $projectId) {
      totalCount edges { node { id key } } } }`;
    const keysOf = async (projectId: string | null) => {
      const { scenarios } = await ask(list, { projectId }, alice);
      expect(scenarios.totalCount).toBe(scenarios.edges.length);
      return scenarios.edges.map(({ node }: { node: { id: string } }) => node.id);
    };
    expect(await keysOf(null)).toEqual(expect.arrayContaining([all.id, own.id, only.id]));
    const north = await keysOf('north');
    expect(north).toEqual(expect.arrayContaining([own.id, only.id]));
    expect(north).not.toContain(all.id);
    const south = await keysOf('south');
    expect(south).toContain(all.id);
    expect(south).not.toContain(own.id);
    expect(south).not.toContain(only.id);
    // Paged, it is the same list.
    const paged = `query ($after: String) { scenarios(first: 2, after: $after, projectId: "north") {
      pageInfo { hasNextPage endCursor } edges { node { id } } } }`;
    const found: string[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const { scenarios }: { scenarios: Page } = await ask(paged, { after }, alice);
      found.push(...scenarios.edges.map(({ node }) => node.id));
      ({ endCursor: after, hasNextPage: more } = scenarios.pageInfo);
    }
    expect(found).toEqual(north);
  });

  interface Page {
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
    readonly edges: readonly { readonly node: { readonly id: string } }[];
  }

  test('A project goes with a key, and not with an id', async () => {
    const { id } = await newScenario();
    const document = 'query ($id: ID!) { scenario(id: $id, projectId: "p") { id } }';
    expect((await graph.query(alice, document, { id })).errors).toMatchObject([
      { code: 'BAD_USER_INPUT', path: ['projectId'] },
    ]);
    for (const field of ['scenario(key: "x", projectId: "") { id }', 'scenarios(projectId: "") { totalCount }']) {
      expect((await graph.query(alice, `{ ${field} }`)).errors).toMatchObject([
        { code: 'BAD_USER_INPUT', path: ['projectId'] },
      ]);
    }
  });
});

test('Each mutation of a scenario costs the same number of statements with 2 agents and with 20', async () => {
  await graph.db.agent.createMany({
    data: Array.from({ length: 20 }, (_, n) => ({ tenantId: 'acme', name: `twenty_${n}`, instructions: 'Hi.' })),
  });
  ids = await agentIds('acme');
  const inputWith = (count: number) => {
    const names = Array.from({ length: count }, (_, n) => `twenty_${n}`);
    const agents = names.map((name) => member(name, ...names.filter((other) => other !== name)));
    return inputOf({ rootAgentId: ids.twenty_0, agents });
  };
  const costs = async (count: number) => {
    const made = await graph.query(admin, create, { input: inputWith(count) });
    const id = made.data.createScenario.id;
    const changed = await graph.query(admin, update, { id, input: inputWith(count) });
    const read = await graph.query(alice, `query ($id: ID!) { scenario(id: $id) { ${fields} } }`, { id });
    expect([made, changed, read].flatMap(({ errors }) => errors)).toEqual([]);
    expect(read.data.scenario.agents).toHaveLength(count);
    return [made.statements, changed.statements, read.statements];
  };
  const small = await costs(2);
  expect(await costs(20)).toEqual(small);
  expect(small[2]).toBeLessThanOrEqual(3);
});

test('Changes of scenarios are limited: too many are refused with the time to wait', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_AGENT_OPERATIONS: '2/60' } });
  const token = await app.token({ sub: 'root', roles: ['admin'] });
  const { data } = await app.query('{ agents { edges { node { id } } } }', {}, { token });
  const agentId = data.agents.edges[0].node.id;
  const input = (key: string) => ({ key, name: 'N', rootAgentId: agentId, agents: [{ agentId, handoffs: [] }] });
  const codes: (string | undefined)[] = [];
  for (const key of ['a', 'b', 'c']) {
    const { errors } = await app.query(create, { input: input(key) }, { token });
    codes.push(errors[0]?.extensions.code);
    if (errors[0]) expect(errors[0].extensions.retryAfterMs).toBeGreaterThan(0);
  }
  expect(codes).toEqual([undefined, undefined, 'RATE_LIMITED']);
});
