import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { exportScenario } from '../../src/scenarios/files/export.ts';
import { parseScenarioFile } from '../../src/scenarios/files/format.ts';
import { importScenarios } from '../../src/scenarios/files/import.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { addProject } from '../support/projects.ts';

let graph: Graph;
let admin: TestViewer;
let alice: TestViewer;
let stranger: TestViewer;
/** Ids of shared agents of the test, by name. */
let ids: Record<string, string>;

beforeAll(async () => {
  graph = await openGraph({ RATE_LIMIT_AGENT_OPERATIONS: '0' });
  admin = await graph.viewer('root', 'acme', ['admin']);
  alice = await graph.viewer('alice');
  stranger = await graph.viewer('root', 'elsewhere', ['admin']);
});
afterAll(async () => graph[Symbol.asyncDispose]());

beforeEach(async () => {
  const names = ['front', 'bills', 'orders', 'judge'];
  const rows = await graph.db.agent.createManyAndReturn({
    data: names.map((name) => ({ tenantId: 'acme', name: `${name} ${randomUUID()}`, instructions: 'Hi.' })),
  });
  ids = Object.fromEntries(rows.map(({ name, id }) => [name.split(' ')[0], `agt_${id}`]));
});

const create = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id key version updatedAt } }';
const update =
  'mutation ($id: ID!, $input: ScenarioInput!) { updateScenario(id: $id, input: $input) { version updatedAt name } }';
const restore = `mutation ($id: ID!, $version: Int!, $expectedVersion: Int!) {
  restoreScenarioVersion(id: $id, version: $version, expectedVersion: $expectedVersion) { ${fieldsOf('Scenario')} } }`;
const list = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { scenario(id: $id) {
  versions(first: $first, after: $after, last: $last, before: $before) { totalCount
    pageInfo { hasNextPage hasPreviousPage endCursor startCursor } edges { node { version name } } } } }`;
const one = `query ($id: ID!, $version: Int!) { scenarioVersion(id: $id, version: $version) { ${fieldsOf('ScenarioVersion')} } }`;

/** What a scenario and its versions have in common, and what versions have beside it. */
function fieldsOf(type: 'Scenario' | 'ScenarioVersion'): string {
  return `version key name description isActive project { key }
    agents { agent { id } isRoot handoffs { toAgent { id } description } }
    guardrails { name check { __typename ... on ClassifierCheck { agent { id } question } ... on PatternCheck { patterns } } }
    orchestration { mode threshold instructions classifier { id } }
    ${type === 'Scenario' ? 'updatedAt' : 'createdAt changedBy restoredFrom'}`;
}

async function ask(document: string, variables: Record<string, unknown>, viewer = admin) {
  const { data, errors } = await graph.query(viewer, document, variables);
  expect(errors).toEqual([]);
  return data;
}

const errorsOf = async (viewer: TestViewer, document: string, variables: Record<string, unknown>) =>
  (await graph.query(viewer, document, variables)).errors;

function inputOf(changes: Record<string, unknown> = {}) {
  return {
    key: `k${randomUUID()}`,
    name: 'A scenario',
    rootAgentId: ids.front,
    agents: [{ agentId: ids.front, handoffs: [] }],
    ...changes,
  };
}

/** An input that says something in every place. */
const fullInput = (changes: Record<string, unknown> = {}) =>
  inputOf({
    description: 'What it is for.',
    agents: [
      { agentId: ids.bills, handoffs: [{ toAgentId: ids.front, description: 'Anything else.' }] },
      {
        agentId: ids.front,
        handoffs: [{ toAgentId: ids.orders }, { toAgentId: ids.bills, description: 'Invoices, “all” of them.' }],
      },
      { agentId: ids.orders, handoffs: [] },
    ],
    guardrails: [
      { name: 'words', stages: ['INPUT'], check: { patterns: ['(?i)secret'] } },
      { name: 'judged', stages: ['OUTPUT'], check: { classifier: { agentId: ids.judge, question: 'Is it rude?' } } },
    ],
    orchestration: {
      mode: 'EVERY_TURN',
      classifierAgentId: ids.judge,
      threshold: 0.7,
      instructions: 'Refunds: bills.',
    },
    isActive: false,
    ...changes,
  });

const make = async (input: Record<string, unknown>) => (await ask(create, { input })).createScenario;
const change = async (id: string, input: Record<string, unknown>, viewer = admin) =>
  (await ask(update, { id, input }, viewer)).updateScenario;
const numbersOf = async (id: string): Promise<number[]> =>
  (await ask(list, { id })).scenario.versions.edges.map(({ node }: { node: { version: number } }) => node.version);
const readOne = async (id: string, version: number) => (await ask(one, { id, version })).scenarioVersion;
const remove = 'mutation ($id: ID!) { deleteAgent(id: $id) }';

describe('what is kept', () => {
  test('Each change of a scenario keeps the version that it makes, with who has made it and when', async () => {
    const second = await graph.viewer('second', 'acme', ['admin']);
    const made = await make(fullInput({ projectId: await addProject(graph.db, `p${randomUUID()}`) }));
    const changed = await change(made.id, inputOf({ key: made.key, name: 'Changed' }), second);
    expect((await ask(list, { id: made.id })).scenario.versions).toMatchObject({
      totalCount: 2,
      edges: [{ node: { version: 2, name: 'Changed' } }, { node: { version: 1, name: 'A scenario' } }],
    });
    const [first, last] = [await readOne(made.id, 1), await readOne(made.id, 2)];
    expect(last).toMatchObject({ changedBy: 'second', restoredFrom: null, createdAt: changed.updatedAt });
    expect(first).toEqual({
      version: 1,
      changedBy: 'root',
      restoredFrom: null,
      createdAt: made.updatedAt,
      key: made.key,
      name: 'A scenario',
      description: 'What it is for.',
      isActive: false,
      project: { key: expect.stringMatching(/^p/) },
      agents: [
        {
          agent: { id: ids.front },
          isRoot: true,
          handoffs: [
            { toAgent: { id: ids.orders }, description: null },
            { toAgent: { id: ids.bills }, description: 'Invoices, “all” of them.' },
          ],
        },
        {
          agent: { id: ids.bills },
          isRoot: false,
          handoffs: [{ toAgent: { id: ids.front }, description: 'Anything else.' }],
        },
        { agent: { id: ids.orders }, isRoot: false, handoffs: [] },
      ],
      guardrails: [
        { name: 'words', check: { __typename: 'PatternCheck', patterns: ['(?i)secret'] } },
        {
          name: 'judged',
          check: { __typename: 'ClassifierCheck', agent: { id: ids.judge }, question: 'Is it rude?' },
        },
      ],
      orchestration: {
        mode: 'EVERY_TURN',
        threshold: 0.7,
        instructions: 'Refunds: bills.',
        classifier: { id: ids.judge },
      },
    });
  });

  test('Scenarios of the seed have their first version, which nobody has made', async () => {
    const seeded = await graph.db.scenario.findMany({ where: { tenantId: 'elsewhere' }, select: { id: true } });
    expect(seeded.length).toBeGreaterThan(0);
    for (const { id } of seeded) {
      const { scenarioVersion } = await ask(one, { id: `scn_${id}`, version: 1 }, stranger);
      expect(scenarioVersion).toMatchObject({ version: 1, changedBy: null });
      expect(scenarioVersion.agents.length).toBeGreaterThan(0);
    }
  });

  test('A version that a release has made which stores none is kept by the next change, as it was', async () => {
    /** What an instance of before does to a scenario while an upgrade rolls. */
    const changeAsBefore = async (id: string, name: string) => {
      const where = { scenarioId: id.slice(4) };
      const { version } = await graph.db.scenario.update({
        where: { id: where.scenarioId },
        data: { name, version: { increment: 1 } },
      });
      await graph.db.scenarioVersion.deleteMany({ where: { ...where, version } });
      return graph.db.scenario.findUniqueOrThrow({ where: { id: where.scenarioId } });
    };
    const made = await make(fullInput());
    const { version: _, name: __, changedBy: ___, createdAt: ____, ...content } = await readOne(made.id, 1);
    const { updatedAt } = await changeAsBefore(made.id, 'Unseen');
    expect(await numbersOf(made.id)).toEqual([1]);
    await change(made.id, inputOf({ key: made.key, name: 'Third' }));
    expect(await numbersOf(made.id)).toEqual([3, 2, 1]);
    expect(await readOne(made.id, 2)).toEqual({
      ...content,
      ...{ version: 2, name: 'Unseen', changedBy: null, createdAt: updatedAt.toISOString() },
    });
    expect(await readOne(made.id, 3)).toMatchObject({ name: 'Third', changedBy: 'root' });
    // Also by a restoration, and one that is refused keeps none.
    await changeAsBefore(made.id, 'Fourth');
    expect(await errorsOf(admin, restore, { id: made.id, version: 2, expectedVersion: 3 })).toMatchObject([
      { code: 'CONFLICT' },
    ]);
    expect(await numbersOf(made.id)).toEqual([3, 2, 1]);
    await ask(restore, { id: made.id, version: 2, expectedVersion: 4 });
    expect(await numbersOf(made.id)).toEqual([5, 4, 3, 2, 1]);
    expect(await readOne(made.id, 4)).toMatchObject({ name: 'Fourth', changedBy: null, restoredFrom: null });
  });

  test('A change that is refused keeps no version', async () => {
    const { id, key } = await make(inputOf());
    const input = inputOf({ key, agents: [{ agentId: ids.orders, handoffs: [] }] });
    expect(await errorsOf(admin, update, { id, input })).toMatchObject([{ code: 'BAD_USER_INPUT' }]);
    expect(await numbersOf(id)).toEqual([1]);
  });

  test('Updates at the same time are all kept, in the order of their versions', async () => {
    const { id, key } = await make(inputOf());
    const changed = await Promise.all(
      Array.from({ length: 10 }, (_, n) => change(id, inputOf({ key, name: `Number ${n}` }))),
    );
    expect(await numbersOf(id)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    const { scenario } = await ask(list, { id });
    const kept = new Map(
      scenario.versions.edges.map(({ node }: { node: { version: number; name: string } }) => [node.version, node.name]),
    );
    for (const { version, name } of changed) expect(kept.get(version)).toBe(name);
  });

  test('Of updates at the same time that expect the same version, one wins; the others are conflicts and keep nothing', async () => {
    const { id, key } = await make(inputOf());
    const expecting = update.replace('$input: ScenarioInput!)', '$input: ScenarioInput!, $expectedVersion: Int)');
    const document = expecting.replace('input: $input)', 'input: $input, expectedVersion: $expectedVersion)');
    const send = (expectedVersion: number | null) =>
      errorsOf(admin, document, { id, input: inputOf({ key }), expectedVersion });
    const answers = await Promise.all(Array.from({ length: 6 }, () => send(1)));
    expect(answers.flatMap((errors) => errors.map(({ code }) => code))).toEqual(Array(5).fill('CONFLICT'));
    expect(await numbersOf(id)).toEqual([2, 1]);
    expect(await send(3)).toMatchObject([{ code: 'CONFLICT', message: expect.stringContaining('it has version 2') }]);
    expect(await send(0)).toMatchObject([{ code: 'BAD_USER_INPUT', path: ['expectedVersion'] }]);
    expect(await send(null)).toEqual([]);
    expect(await numbersOf(id)).toEqual([3, 2, 1]);
  });

  test('The last 50 versions are stored, with 1,000,000 bytes together, and the present one of any size', async () => {
    const { id, key } = await make(inputOf());
    for (let n = 2; n <= 52; n += 1) await change(id, inputOf({ key, name: `Number ${n}` }));
    const few = await numbersOf(id);
    expect(few).toHaveLength(50);
    expect([few[0], few[49]]).toEqual([52, 3]);
    const wordy = (chars: number) => ({
      key,
      description: '€'.repeat(2_000),
      orchestration: { mode: 'OFF', instructions: '€'.repeat(chars) },
    });
    // Each of them has about 36,000 bytes.
    for (let n = 0; n < 30; n += 1) await change(id, inputOf(wordy(10_000)));
    const large = await numbersOf(id);
    expect(large).toEqual(Array.from({ length: 27 }, (_, n) => 82 - n));
    const [{ bytes } = { bytes: 0 }] = await graph.db.$queryRaw<{ bytes: number }[]>`
      SELECT sum(octet_length(snapshot::text))::int AS bytes FROM scenario_versions WHERE scenario_id = ${id.slice(4)}::uuid`;
    expect(bytes).toBeLessThanOrEqual(1_000_000);
    expect(bytes).toBeGreaterThan(960_000);
    // Another scenario loses nothing by it.
    const other = await make(inputOf());
    await change(id, inputOf({ key }));
    expect(await numbersOf(other.id)).toEqual([1]);
  });

  test('A version that is larger than all may be together goes with the next one', async () => {
    const { id, key } = await make(inputOf());
    await change(id, inputOf({ key }));
    // As a file can be that large.
    const where = { scenarioId_version: { scenarioId: id.slice(4), version: 2 } };
    await graph.db.scenarioVersion.update({ where, data: { bytes: 1_500_000 } });
    expect(await numbersOf(id)).toEqual([2, 1]);
    await change(id, inputOf({ key }));
    expect(await numbersOf(id)).toEqual([3]);
  });

  test('Versions are deleted with their scenario, and name nobody who was erased', async () => {
    const leaver = await graph.viewer(`leaver-${randomUUID()}`, 'acme', ['admin']);
    const { id, key } = await make(inputOf());
    await change(id, inputOf({ key }), leaver);
    await eraseUser(graph.db, leaver, () => {});
    expect(await readOne(id, 2)).toMatchObject({ changedBy: 'erased' });
    expect(await readOne(id, 1)).toMatchObject({ changedBy: 'root' });
    await ask('mutation ($id: ID!) { deleteScenario(id: $id) }', { id });
    expect(await graph.db.scenarioVersion.count({ where: { scenarioId: id.slice(4) } })).toBe(0);
  });
});

describe('reading versions', () => {
  test('The list is paged from both ends, and its cursors are of no use for another scenario', async () => {
    const { id, key } = await make(inputOf());
    for (let n = 2; n <= 5; n += 1) await change(id, inputOf({ key }));
    const read = async (variables: Record<string, unknown>) => {
      const { versions } = (await ask(list, { id, ...variables })).scenario;
      const { hasNextPage, hasPreviousPage, endCursor, startCursor } = versions.pageInfo;
      expect(versions.totalCount).toBe(5);
      const numbers = versions.edges.map(({ node }: { node: { version: number } }) => node.version);
      return { numbers, hasNextPage, hasPreviousPage, endCursor, startCursor };
    };
    const first = await read({ first: 2 });
    expect(first).toMatchObject({ numbers: [5, 4], hasNextPage: true, hasPreviousPage: false });
    const second = await read({ first: 2, after: first.endCursor });
    expect(second).toMatchObject({ numbers: [3, 2], hasNextPage: true, hasPreviousPage: true });
    const third = await read({ first: 2, after: second.endCursor });
    expect(third).toMatchObject({ numbers: [1], hasNextPage: false, hasPreviousPage: true });
    expect(await read({ last: 2, before: third.startCursor })).toMatchObject({
      numbers: [3, 2],
      hasNextPage: true,
      hasPreviousPage: true,
    });
    expect(await read({ last: 2 })).toMatchObject({ numbers: [2, 1], hasNextPage: false, hasPreviousPage: true });
    expect(await read({ first: 0 })).toMatchObject({ numbers: [], hasNextPage: true });
    // A version that comes meanwhile makes no gap and no repeat.
    await change(id, inputOf({ key }));
    const other = await make(inputOf());
    for (const variables of [
      { id: other.id, after: first.endCursor },
      { id, after: 'x' },
      { id, first: 101 },
    ])
      expect(await errorsOf(admin, list, variables)).toMatchObject([{ code: 'BAD_USER_INPUT' }]);
    expect((await ask(list, { id, first: 2, after: first.endCursor })).scenario.versions.edges).toMatchObject([
      { node: { version: 3 } },
      { node: { version: 2 } },
    ]);
  });

  test('The versions of many scenarios, and a change, take the same number of statements as those of one', async () => {
    const few = await make(inputOf());
    const many = await make(fullInput());
    const changed: number[] = [];
    for (let n = 0; n < 4; n += 1) {
      const { statements } = await graph.query(admin, update, { id: many.id, input: fullInput({ key: many.key }) });
      changed.push(statements);
    }
    expect(new Set(changed).size).toBe(1);
    const document = `query ($last: Int!) { scenarios(last: $last) { edges { node { versions(first: 3) {
      totalCount edges { node { agents { agent { name } isDeleted handoffs { toAgent { name } } } } } } } } } }`;
    const costs = [];
    for (const last of [1, 2, 4]) {
      const { statements, errors } = await graph.query(admin, document, { last });
      expect(errors).toEqual([]);
      costs.push(statements);
    }
    // The page of scenarios, their rows, the numbers of their versions, the contents, and the agents: each for all.
    expect(costs).toEqual([5, 5, 5]);
    const single = await graph.query(admin, one, { id: few.id, version: 1 });
    const larger = await graph.query(admin, one, { id: many.id, version: 1 });
    expect([single.statements, larger.statements]).toEqual([3, 3]);
  });

  test('A version that this release cannot read is an error of its scenario, and the versions of others are listed', async () => {
    const [good, bad] = [await make(inputOf()), await make(inputOf())];
    await change(bad.id, inputOf({ key: bad.key }));
    // As a newer release stores it.
    await graph.db.$executeRaw`UPDATE scenario_versions
      SET snapshot = jsonb_set(snapshot, '{orchestration,mode}', '"SOMETIMES"')
      WHERE scenario_id = ${bad.id.slice(4)}::uuid AND version = 2`;
    const document = `query ($first: Int, $last: Int) { scenarios(last: 2) { edges { node {
      id versions(first: $first, last: $last) { edges { node { version } } } } } } }`;
    const { data, errors } = await graph.query(admin, document, { first: 1 });
    const unavailable = { code: 'UNAVAILABLE', message: expect.stringContaining('Version 2 was stored by another') };
    expect(errors).toMatchObject([unavailable]);
    expect(data.scenarios.edges.map(({ node }: { node: unknown }) => node)).toEqual([
      { id: good.id, versions: { edges: [{ node: { version: 1 } }] } },
      { id: bad.id, versions: null },
    ]);
    // The earlier one can be read, and restored.
    expect((await graph.query(admin, document, { last: 1 })).errors).toEqual([]);
    expect(await errorsOf(admin, one, { id: bad.id, version: 2 })).toMatchObject([unavailable]);
    expect(await errorsOf(admin, restore, { id: bad.id, version: 2, expectedVersion: 2 })).toMatchObject([unavailable]);
    await ask(restore, { id: bad.id, version: 1, expectedVersion: 2 });
  });

  test('Only admins of the tenant read and restore versions; others see the scenario alone', async () => {
    const { id, key } = await make(inputOf({ name: 'private-4c7e' }));
    await change(id, inputOf({ key, name: 'Public' }));
    const tries: [string, Record<string, unknown>][] = [
      [list, { id }],
      [one, { id, version: 1 }],
      [restore, { id, version: 1, expectedVersion: 2 }],
    ];
    const before = await dumpDatabase(graph.app.app);
    for (const viewer of [alice, stranger]) {
      for (const [document, variables] of tries) {
        const { data, errors } = await graph.query(viewer, document, variables);
        // Who may see the scenario reads the rest of it, whatever else a document selects.
        if (document === list && viewer === alice)
          expect([data, errors]).toEqual([{ scenario: { versions: null } }, []]);
        else expect(errors).toMatchObject([{ code: 'FORBIDDEN' }]);
        expect(JSON.stringify([data, errors])).not.toContain('private-4c7e');
      }
    }
    for (const [document, variables] of tries)
      expect(await errorsOf(admin, document, { ...variables, id: `scn_${randomUUID()}` })).toMatchObject([
        { code: 'NOT_FOUND' },
      ]);
    expect(await ask('query ($id: ID!) { scenario(id: $id) { name version } }', { id }, alice)).toEqual({
      scenario: { name: 'Public', version: 2 },
    });
    expect(await dumpDatabase(graph.app.app)).toBe(before);
  });

  test('A version that is stored no longer is not found, and a number that is none is refused', async () => {
    const { id, key } = await make(inputOf());
    await change(id, inputOf({ key }));
    await graph.db.scenarioVersion.deleteMany({ where: { scenarioId: id.slice(4), version: 1 } });
    for (const version of [1, 3]) {
      const code = 'NOT_FOUND';
      expect(await errorsOf(admin, one, { id, version })).toMatchObject([{ code }]);
      expect(await errorsOf(admin, restore, { id, version, expectedVersion: 2 })).toMatchObject([{ code }]);
    }
    for (const version of [0, -1]) {
      const refused = { code: 'BAD_USER_INPUT', path: ['version'] };
      expect(await errorsOf(admin, one, { id, version })).toMatchObject([refused]);
      expect(await errorsOf(admin, restore, { id, version, expectedVersion: 2 })).toMatchObject([refused]);
    }
    expect(await errorsOf(admin, one, { id: ids.front, version: 1 })).toMatchObject([
      { code: 'BAD_USER_INPUT', path: ['id'] },
    ]);
  });
});

describe('restoreScenarioVersion', () => {
  const codeOf = async (id: string, version: number, expectedVersion: number) =>
    (await errorsOf(admin, restore, { id, version, expectedVersion }))[0]?.code;

  test('An earlier version comes back as a whole, as the next one, also its key, its project and what turns use', async () => {
    const projectId = await addProject(graph.db, `p${randomUUID()}`);
    const { id, key } = await make(fullInput({ projectId, isActive: true }));
    const first = await readOne(id, 1);
    await change(id, inputOf({ name: 'Other' }));
    const { restoreScenarioVersion } = await ask(restore, { id, version: 1, expectedVersion: 2 });
    const { createdAt: _, changedBy: __, restoredFrom: ___, ...content } = first;
    expect(restoreScenarioVersion).toEqual({ ...content, version: 3, updatedAt: expect.any(String) });
    expect(await readOne(id, 3)).toEqual({
      ...content,
      version: 3,
      changedBy: 'root',
      restoredFrom: 1,
      createdAt: restoreScenarioVersion.updatedAt,
    });
    expect(await numbersOf(id)).toEqual([3, 2, 1]);
    // The order of the input is that of the members, which an export shows.
    const members = await graph.db.scenarioAgent.findMany({
      where: { scenarioId: id.slice(4) },
      orderBy: { position: 'asc' },
    });
    expect(members.map(({ agentId }) => `agt_${agentId}`)).toEqual([ids.bills, ids.front, ids.orders]);
    const begin = `mutation ($input: CreateConversationInput!) { createConversation(input: $input) { activeAgent { id } } }`;
    await ask('mutation ($id: ID!) { setProjectMember(projectId: $id, userId: "alice", role: EDITOR) { id } }', {
      id: projectId,
    });
    expect(await ask(begin, { input: { scenarioKey: key, projectId } }, alice)).toEqual({
      createConversation: { activeAgent: { id: ids.front } },
    });
  });

  test('Another version than the expected one is a conflict, and of many restorations at the same time one wins', async () => {
    const { id, key } = await make(inputOf());
    await change(id, inputOf({ key }));
    for (const expected of [1, 3]) expect(await codeOf(id, 1, expected)).toBe('CONFLICT');
    expect(await numbersOf(id)).toEqual([2, 1]);
    const codes = await Promise.all(Array.from({ length: 8 }, () => codeOf(id, 1, 2)));
    expect(codes.toSorted()).toEqual([...Array(7).fill('CONFLICT'), undefined]);
    expect(await numbersOf(id)).toEqual([3, 2, 1]);
  });

  test('A restoration and updates at the same time are one after another, and the content is that of one', async () => {
    const { id, key } = await make(fullInput());
    await change(id, inputOf({ key, name: 'Second' }));
    const answers = await Promise.all([
      graph.query(admin, update, { id, input: inputOf({ key, name: 'Third' }) }),
      graph.query(admin, restore, { id, version: 1, expectedVersion: 2 }),
    ]);
    const [, restored] = answers;
    const wanted = restored?.errors.length === 0 ? [4, 3, 2, 1] : [3, 2, 1];
    expect(await numbersOf(id)).toEqual(wanted);
    expect(answers[0]?.errors).toEqual([]);
  });

  test.each([
    ['member', 'orders', ['input', 'agents', 2, 'agentId'], 'names an agent that was deleted'],
    [
      'classifier of a guardrail',
      'judge',
      ['input', 'guardrails', 1, 'check', 'classifier', 'agentId'],
      'names an agent that was deleted',
    ],
  ] as const)(
    'A version with a %s that was deleted since is refused by the field, and nothing is written',
    async (_what, name, path, says) => {
      const { id, key } = await make(fullInput());
      await change(id, inputOf({ key }));
      await ask(remove, { id: ids[name] });
      const before = await dumpDatabase(graph.app.app);
      const [error] = await errorsOf(admin, restore, { id, version: 1, expectedVersion: 2 });
      expect(error).toMatchObject({ code: 'BAD_USER_INPUT', path, message: expect.stringContaining(says) });
      expect(await dumpDatabase(graph.app.app)).toBe(before);
      // It can still be read, and says who is missing.
      const members = `query ($id: ID!) { scenarioVersion(id: $id, version: 1) { agents { isDeleted agent { id name } } } }`;
      const { scenarioVersion } = await ask(members, { id });
      const gone = scenarioVersion.agents.filter(({ isDeleted }: { isDeleted: boolean }) => isDeleted);
      expect(gone).toMatchObject(name === 'orders' ? [{ agent: { id: ids.orders } }] : []);
    },
  );

  test('A version with an agent that is switched off, a key that is taken or an archived project is refused', async () => {
    const taken = `k${randomUUID()}`;
    const projectId = await addProject(graph.db, `p${randomUUID()}`);
    const off = await make(fullInput());
    const renamed = await make(inputOf({ key: taken }));
    const archived = await make(inputOf({ projectId }));
    for (const { id } of [off, renamed, archived]) await change(id, inputOf());
    await make(inputOf({ key: taken }));
    const setActive = 'mutation ($id: ID!) { updateAgent(id: $id, input: { isActive: false }) { id } }';
    await ask(setActive, { id: ids.bills });
    await ask('mutation ($id: ID!) { updateProject(id: $id, input: { isArchived: true }) { id } }', { id: projectId });
    const before = await dumpDatabase(graph.app.app);
    expect(await errorsOf(admin, restore, { id: off.id, version: 1, expectedVersion: 2 })).toMatchObject([
      { code: 'BAD_USER_INPUT', path: ['input', 'agents', 0, 'agentId'] },
    ]);
    expect(await codeOf(renamed.id, 1, 2)).toBe('CONFLICT');
    expect(await codeOf(archived.id, 1, 2)).toBe('CONFLICT');
    expect(await dumpDatabase(graph.app.app)).toBe(before);
  });
});

describe('files', () => {
  const importFile = async (content: unknown, options: { readonly dryRun?: boolean } = {}) => {
    const file = parseScenarioFile('file.json', Buffer.from(JSON.stringify(content)));
    const [report] = await importScenarios(graph.app.app.runs.agents, 'acme', [file], options);
    return report?.scenario;
  };

  test('An import that changes a scenario keeps a version without a user; one that changes nothing, or is tried, keeps none', async () => {
    const key = `f${randomUUID()}`;
    const [root, other] = [`one ${key}`, `two ${key}`];
    const file = (name: string) => ({
      version: 1,
      scenario: { key, name, root },
      agents: [
        { name: root, instructions: 'Hi.', handoffs: [{ to: other, description: 'Two.' }] },
        { name: other, instructions: 'Hi.' },
      ],
    });
    expect(await importFile(file('First'))).toEqual({ change: 'created', version: 1 });
    const { id: row } = await graph.db.scenario.findFirstOrThrow({ where: { tenantId: 'acme', key } });
    const id = `scn_${row}`;
    expect(await importFile(file('First'))).toEqual({ change: 'unchanged', version: 1 });
    expect(await importFile(file('Tried'), { dryRun: true })).toEqual({ change: 'updated', version: 2 });
    expect(await numbersOf(id)).toEqual([1]);
    expect(await importFile(file('Second'))).toEqual({ change: 'updated', version: 2 });
    expect(await numbersOf(id)).toEqual([2, 1]);
    expect(await readOne(id, 1)).toMatchObject({ name: 'First', changedBy: null });
    expect(await readOne(id, 2)).toMatchObject({ name: 'Second', changedBy: null });
    // An import keeps what a release has made which stores no versions.
    await graph.db.scenario.update({ where: { id: row }, data: { name: 'Unseen', version: 3 } });
    expect(await importFile(file('Fourth'))).toEqual({ change: 'updated', version: 4 });
    expect(await numbersOf(id)).toEqual([4, 3, 2, 1]);
    expect(await readOne(id, 3)).toMatchObject({ name: 'Unseen', changedBy: null });
    // What is restored is exported as it was, and importing that changes nothing.
    await change(id, inputOf({ key, name: 'Fifth' }));
    await ask(restore, { id, version: 1, expectedVersion: 5 });
    const exported = await exportScenario('acme', graph.db, key);
    expect(exported.scenario).toMatchObject({ name: 'First', root });
    expect(exported.agents.map(({ name, handoffs }) => [name, handoffs])).toEqual([
      [root, [{ to: other, description: 'Two.' }]],
      [other, undefined],
    ]);
    expect(await importFile(exported)).toEqual({ change: 'unchanged', version: 6 });
    expect(await numbersOf(id)).toEqual([6, 5, 4, 3, 2, 1]);
  });
});
