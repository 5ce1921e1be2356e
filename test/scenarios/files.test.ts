import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEmbeddedPostgres } from '../../src/database/embedded/embedded.ts';
import { exportScenario } from '../../src/scenarios/files/export.ts';
import { formatScenarioFile, parseScenarioFile, type WrittenScenario } from '../../src/scenarios/files/format.ts';
import { importScenarios } from '../../src/scenarios/files/import.ts';
import { type Graph, openGraph } from '../support/app.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { addProject } from '../support/projects.ts';

const root = join(import.meta.dirname, '../..');
let graph: Graph;
let folder: string;

beforeAll(async () => {
  graph = await openGraph();
  await graph.viewer('alice');
  folder = await mkdtemp(join(tmpdir(), 'switchboard-scenarios-'));
});
afterAll(async () => {
  await graph[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** `npm run scenarios`, without npm. */
async function scenarios(args: readonly string[], env: Record<string, string> = { DATABASE_URL: graph.databaseUrl }) {
  const child = spawn(process.execPath, ['scripts/scenarios.ts', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env },
  });
  const output = { out: '', err: '' };
  child.stdout.on('data', (chunk) => (output.out += String(chunk)));
  child.stderr.on('data', (chunk) => (output.err += String(chunk)));
  const [code] = await once(child, 'close');
  return { code, ...output };
}

let files = 0;

async function write(content: unknown, name = `file-${++files}.json`): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content));
  return path;
}

/** A file of two agents. */
const written = (key: string, agents: readonly [Agent?, Agent?] = [], scenario = {}): WrittenScenario => ({
  version: 1,
  scenario: { key, name: 'A scenario', root: `${key}_one`, ...scenario },
  agents: [
    {
      name: `${key}_one`,
      instructions: 'You are one.',
      handoffs: [{ to: `${key}_two`, description: 'Two.' }],
      ...agents[0],
    },
    { name: `${key}_two`, description: 'The second.', instructions: 'You are two.', ...agents[1] },
  ],
});
type Agent = Partial<WrittenScenario['agents'][number]>;

/** All that an import can change. */
const readAll = () =>
  Promise.all([
    graph.db.tenant.findMany({ orderBy: { id: 'asc' } }),
    graph.db.agent.findMany({ orderBy: { id: 'asc' } }),
    graph.db.scenario.findMany({
      orderBy: { id: 'asc' },
      include: {
        agents: { orderBy: { position: 'asc' }, include: { handoffs: { orderBy: { position: 'asc' } } } },
      },
    }),
  ]);

describe('a scenario file', () => {
  const parse = (content: string | Uint8Array) =>
    parseScenarioFile('the/file.yaml', typeof content === 'string' ? new TextEncoder().encode(content) : content);
  const file = written('f');
  const [one, two] = file.agents;
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
  for (const [to, from] of ['ba', 'cb', 'dc', 'ed', 'fe'])
    bomb.push(`${to}: &${to} [${`*${from}, `.repeat(9)}*${from}]`);

  test.each<[what: string, content: unknown, says: RegExp]>([
    ['nothing', '', /the file: .*object/],
    ['no YAML', 'scenario: [', /BAD_INDENT at line 1, column 12$/],
    ['a key twice', 'version: 1\nversion: 1\n', /DUPLICATE_KEY at line 2, column 1$/],
    ['two documents', 'version: 1\n---\nversion: 1\n', /MULTIPLE_DOCS at line 2/],
    ['a tag', 'version: !!js/function "x"\n', /TAG_RESOLVE_FAILED at line 1/],
    // The tags that YAML has of itself, but JSON has nothing for.
    ...['{a: !!binary aGk=}', '{a: !!set {b}}', '{a: !!timestamp 2026-01-01}', '{a: !!omap [b: 1]}'].map(
      (guardrails): [string, string, RegExp] => [
        `the guardrails ${guardrails}`,
        `version: 1\nscenario: {key: k, name: n, root: a, guardrails: ${guardrails}}\nagents: [{name: a, instructions: i}]`,
        /TAG_RESOLVE_FAILED at line 2/,
      ],
    ),
    ['an alias of nothing', 'version: *sk-0123456789', /alias/],
    ['a secret where a tag goes', 'version: !sk-0123456789 x', /TAG_RESOLVE_FAILED at line 1/],
    ['a secret that ends nowhere', "version: 'sk-0123456789", /MISSING_CHAR at line 1/],
    ['a secret beside a block', 'version: |sk-0123456789\n  x\n', /at line 1/],
    ['an alias bomb', bomb.join('\n'), /alias/],
    ['brackets without end', '['.repeat(100_000), /line 1/],
    ['no UTF-8', Buffer.from([0x76, 0xff, 0xfe]), /not UTF-8/],
    ['a megabyte and more', `# ${'x'.repeat(1_048_576)}`, /larger than 1,048,576 bytes/],
    ['another version', { ...file, version: 2 }, /version: must be 1/],
    ['an unknown field', { ...file, owner: 'x' }, /the file: .*"owner"/],
    ['an unknown field of the scenario', written('f', [], { title: 'x' }), /scenario: .*"title"/],
    ['an unknown field of an agent', { ...file, agents: [{ ...one, model: 'x' }, two] }, /agents\.0: .*"model"/],
    [
      'an unknown field of a handoff',
      { ...file, agents: [{ ...one, handoffs: [{ to: 'f_two', when: 'x' }] }, two] },
      /agents\.0\.handoffs\.0: .*"when"/,
    ],
    [
      'a key of a provider',
      { ...file, agents: [{ ...one, llm: { provider: 'groq', model: 'x', apiKey: 'sk-0123456789' } }, two] },
      /agents\.0\.llm: .*"apiKey"/,
    ],
    ['a key with a space', written('f', [], { key: 'a b' }), /scenario\.key: must begin with/],
    ['an agent without instructions', { ...file, agents: [{ name: 'f_one' }, two] }, /agents\.0\.instructions: /],
    [
      'a tool twice',
      { ...file, agents: [{ ...one, tools: ['a', 'a'] }, two] },
      /agents\.0\.tools: must not contain duplicates/,
    ],
    [
      'a tool of no name',
      { ...file, agents: [{ ...one, tools: ['a b'] }, two] },
      /agents\.0\.tools\.0: must be the name/,
    ],
    ['a root outside', written('f', [], { root: 'x' }), /scenario\.root: "x" is not an agent of the scenario "f"/],
    ['an agent twice', { ...file, agents: [one, two, two] }, /agents\.2\.name: "f_two" is duplicated/],
    [
      'a handoff to nobody',
      { ...file, agents: [one] },
      /agents\.0\.handoffs\.0\.to: "f_one" hands off to "f_two", which/,
    ],
    [
      'a handoff to itself',
      { ...file, agents: [one, { ...two, handoffs: [{ to: 'f_two' }] }] },
      /agents\.1\.handoffs\.0\.to: "f_two" cannot hand off to itself/,
    ],
    [
      'an agent that cannot be reached',
      { ...file, agents: [{ ...one, handoffs: [] }, two] },
      /agents\.1\.name: ".*" cannot be reached from the root/,
    ],
    ['an inactive agent', { ...file, agents: [one, { ...two, isActive: false }] }, /agents\.1\.isActive: "f_two"/],
    [
      'a classifier of an agent that is not in it',
      {
        ...file,
        agents: [
          {
            ...one,
            guardrails: [{ name: 'g', stages: ['INPUT'], check: { classifier: { agent: 'x', question: '?' } } }],
          },
          two,
        ],
      },
      /agents\.0\.guardrails\.0\.check\.classifier\.agent: names no agent of this file: "x"/,
    ],
    [
      'circular guardrails',
      'version: 1\nscenario: {key: k, name: n, root: a, guardrails: &g [*g]}\nagents: [{name: a, instructions: i}]',
      /scenario\.guardrails\.0: /,
    ],
  ])('A scenario file with %s is refused; the message names the file and the position', (_what, content, says) => {
    const source = typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content);
    expect(() => parse(source)).toThrow(says);
    expect(() => parse(source)).toThrow('The scenario file the/file.yaml is invalid:\n  - ');
    expect(() => parse(source)).not.toThrow(/sk-0123456789/);
  });

  test('A scenario file reports all that is wrong together', () => {
    const wrong = { ...file, agents: [{ ...one, handoffs: [{ to: 'f_one' }, { to: 'x' }] }, two] };
    expect(() => parse(JSON.stringify(wrong))).toThrow(/cannot hand off to itself[\s\S]*hands off to "x"/);
  });

  test('A scenario file is read as it was written, in YAML and in JSON, whatever its texts are', () => {
    const texts = [
      'no',
      '1.0',
      ' led and trailed \n',
      'a: b # c',
      '- x',
      '"',
      "'",
      '\ttab',
      'two\r\nlines\r',
      '\u2028',
      '😀',
      '\u0007',
    ];
    texts.push(
      'x '.repeat(200),
      `line\n${'y '.repeat(200)}\n\n`,
      '{',
      '!tag',
      '&anchor',
      '*alias',
      '%',
      '@',
      '`',
      '~',
      'null',
      '|',
      '>',
    );
    for (const text of texts) {
      const content = written('f', [{ instructions: text, description: text }], {
        name: text.slice(0, 255),
        guardrails: [{ name: text.slice(0, 100), stages: ['INPUT'], check: { pii: ['IBAN'] } }],
      });
      for (const format of ['yaml', 'json'] as const) {
        expect(parse(formatScenarioFile(content, format)).content).toEqual(parse(JSON.stringify(content)).content);
        expect(parse(formatScenarioFile(content, format)).content.agents[0]?.instructions).toBe(text);
      }
    }
  });
});

test('A provider is exported without its key, keeps it if its origin stays, and loses it if it moves', async () => {
  const load = async (agent: Agent) => {
    const file = parseScenarioFile('keyed.json', Buffer.from(JSON.stringify(written('keyed', [agent]))));
    const [report] = await importScenarios(graph.app.app.runs.agents, 'acme', [file]);
    return report?.agents[0]?.change;
  };
  const llm = { provider: 'custom', model: 'm', apiUrl: 'https://models.test/v1', options: { top_p: 0.5 } };
  expect(await load({ llm })).toBe('created');
  const { id: agentId } = await graph.db.agent.findFirstOrThrow({ where: { tenantId: 'acme', name: 'keyed_one' } });
  const secret = { tenantId: 'acme', agentId, name: 'llm', origin: 'https://models.test', hint: 'abcd' };
  await graph.db.secret.create({ data: { ...secret, kid: 'test', sealed: 'x.y.z' } });
  const exported = await exportScenario('acme', graph.db, 'keyed');
  expect(exported.agents[0]?.llm).toEqual({ ...llm, api: 'CHAT_COMPLETIONS' });

  // Not mentioned, it stays; mentioned as it is, it is no change; with another model, the key stays.
  expect(await load({})).toBe('unchanged');
  expect(await load({ llm })).toBe('unchanged');
  expect(await load({ llm: { ...llm, model: 'n' } })).toBe('updated');
  expect(await graph.db.secret.count({ where: { agentId } })).toBe(1);
  expect(await load({ llm: { ...llm, apiUrl: 'https://models.test:8443/v1' } })).toBe('updated');
  expect(await graph.db.secret.count({ where: { agentId } })).toBe(0);
  expect(await load({ llm: null })).toBe('updated');
  expect((await graph.db.agent.findUniqueOrThrow({ where: { id: agentId } })).llm).toBeNull();
});

describe('npm run scenarios', { timeout: 240_000 }, () => {
  test('The import makes agents and scenario; again, it changes nothing; changed, what has changed', async () => {
    const guardrails: WrittenScenario['scenario']['guardrails'] = [
      {
        name: 'mail',
        stages: ['OUTPUT'],
        check: { pii: ['EMAIL'] },
        action: 'REDACT',
        mode: 'HOLD_BACK',
        onError: 'CLOSED',
      },
      {
        name: 'judged',
        stages: ['INPUT'],
        check: { classifier: { agent: 'imp_one', question: 'Is it rude?' } },
        action: 'BLOCK',
        mode: 'BLOCKING',
        onError: 'OPEN',
      },
    ];
    const ofAgent = guardrails.map((each) => ({ ...each, name: `own ${each.name}` }));
    const path = await write(
      written('imp', [{ tools: ['lookup_order'], guardrails: ofAgent }], { guardrails, projectId: 'p' }),
    );
    const refused = await scenarios(['import', path, '--tenant', 'acme']);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('no project "p" in the tenant "acme"') });
    const projectId = (await addProject(graph.db, 'p')).slice('prj_'.length);
    const first = await scenarios(['import', path, '--tenant', 'acme']);
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toContain('scenario imp of the project p: created, version 1');
    expect(first.out).toContain('agent imp_one: created');
    const made = await readAll();
    const scenario = made[2].find(({ key }) => key === 'imp');
    expect(scenario).toMatchObject({
      tenantId: 'acme',
      projectId,
      guardrails: [
        { name: 'mail', check: { type: 'PII' }, window: null },
        { name: 'judged', check: { type: 'CLASSIFIER' } },
      ],
      isActive: true,
      version: 1,
    });
    expect(
      scenario?.agents.map(({ isRoot, handoffs }) => [isRoot, handoffs.map(({ description }) => description)]),
    ).toEqual([
      [true, ['Two.']],
      [false, []],
    ]);
    const one = made[1].find(({ name }) => name === 'imp_one');
    expect(one).toMatchObject({
      ownerId: null,
      toolNames: ['lookup_order'],
      llm: null,
      isActive: true,
      isDefault: false,
      guardrails: [
        { name: 'own mail', check: { type: 'PII' } },
        { name: 'own judged', check: { type: 'CLASSIFIER', agentId: one?.id } },
      ],
    });

    const again = await scenarios(['import', path, '--tenant', 'acme']);
    expect(again.out).toContain('imp of the project p: unchanged, version 1');
    expect(await readAll()).toEqual(made);

    // Without guardrails in the file, those of the agent stay.
    const [changedOne, changedTwo] = [{ tools: ['lookup_order'] }, { instructions: 'You are changed.' }];
    const rest = { guardrails, projectId: 'p', name: 'Renamed' };
    const changed = written('imp', [changedOne, changedTwo], rest);
    const dry = await scenarios(['import', await write(changed), '--tenant', 'acme', '--dry-run']);
    expect(dry.out).toContain('dry run: nothing was written');
    expect(dry.out).toContain('updated, version 2');
    expect(await readAll()).toEqual(made);
    const third = await scenarios(['import', await write(changed), '--tenant', 'acme']);
    for (const line of ['agent imp_one: unchanged', 'agent imp_two: updated', 'updated, version 2']) {
      expect(third.out).toContain(line);
      expect(dry.out).toContain(line);
    }
    const row = await graph.db.scenario.findFirst({ where: { tenantId: 'acme', key: 'imp' } });
    expect(row).toMatchObject({ id: scenario?.id, name: 'Renamed', version: 2 });
    const own = await scenarios(['export', 'imp', '--tenant', 'acme', '--project', 'p', '--format', 'json']);
    expect(JSON.parse(own.out)).toEqual(written('imp', [{ ...changedOne, guardrails: ofAgent }, changedTwo], rest));
  });

  test('The export gives a file whose import changes nothing, of seeds as well, and that another tenant can import', async () => {
    for (const format of ['yaml', 'json']) {
      const out = join(folder, `support.${format}`);
      expect(await scenarios(['export', 'support', '--tenant', 'acme', '--format', format, '--out', out])).toEqual({
        code: 0,
        out: '',
        err: '',
      });
      const before = await readAll();
      expect((await scenarios(['import', out, '--tenant', 'acme'])).code).toBe(0);
      expect(await readAll()).toEqual(before);
    }
    const [yaml, json] = await Promise.all(
      ['yaml', 'json'].map((end) =>
        readFile(join(folder, `support.${end}`)).then((bytes) => parseScenarioFile(end, bytes)),
      ),
    );
    expect(yaml?.content).toEqual(json?.content);
    const moved = await scenarios(['import', join(folder, 'support.yaml'), '--tenant', 'brand-new']);
    expect(moved.out).toContain('scenario support: created');
    const printed = await scenarios(['export', 'support', '--tenant', 'brand-new']);
    expect(printed.out).toBe(await readFile(join(folder, 'support.yaml'), 'utf8'));
  });

  test('What is wrong in one of several files stops all of them, and is named', async () => {
    const before = await readAll();
    const good = await write(written('good'));
    const unknown = { provider: 'acme-ai', model: 'm' };
    const metadata = { provider: 'custom', model: 'm', apiUrl: 'http://169.254.169.254/v1' };
    for (const [content, says] of [
      [written('bad', [{ handoffs: [] }]), /agents\.1\.name: ".*" cannot be reached from the root/],
      [written('bad', [{ llm: unknown }]), /agents\.0\.llm\.provider must be one of/],
      [written('bad', [{ llm: metadata }]), /agents\.0\.llm\.apiUrl is that of a metadata service/],
      [{ ...written('bad'), tenant: 'other' }, /tenant: it is for "other", not for "acme"/],
      [written('good'), /scenario\.key: "good" is also in /],
      [
        { ...written('bad'), agents: [...written('bad').agents, { ...written('good').agents[0], instructions: 'x' }] },
        /agents\./,
      ],
    ] as const) {
      const bad = await write(content);
      const { code, out, err } = await scenarios(['import', good, bad, '--tenant', 'acme']);
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toContain(bad);
      expect(err).toMatch(says);
      expect(err).not.toMatch(/\n\s+at /);
    }
    expect((await scenarios(['import', join(folder, 'nowhere.yaml')])).err).toMatch(
      /nowhere\.yaml is invalid:\n.*ENOENT/,
    );
    expect(await readAll()).toEqual(before);
  });

  test('The import warns of unknown tools, and stores them', async () => {
    await graph.db.mcpServer.create({
      data: { tenantId: 'acme', name: 'maps', url: 'https://maps.test/mcp', requiredRoles: [] },
    });
    const file = await write(written('tools', [{ tools: ['lookup_order', 'lookup_oder', 'maps_route'] }]));
    const { code, err } = await scenarios(['import', file, '--tenant', 'acme']);
    expect(code).toBe(0);
    expect(err).toBe('  warning: there is no tool lookup_oder yet; its agents go without it until there is\n');
    const agent = await graph.db.agent.findFirst({ where: { name: 'tools_one' } });
    expect(agent?.toolNames).toEqual(['lookup_order', 'lookup_oder', 'maps_route']);
  });

  test('npm run scenarios prints its usage, and names what does not exist', async () => {
    for (const args of [['import'], ['import', 'x', '--force'], ['export', 'support', '--format', 'xml']]) {
      expect(await scenarios(args)).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Usage: npm run') });
    }
    expect(await scenarios(['export', 'nope', '--tenant', 'acme'])).toEqual({
      code: 1,
      out: '',
      err: 'There is no scenario with the key "nope" in the tenant "acme".\n',
    });
  });

  test('npm run scenarios works on the embedded database, also while a server has it open', async () => {
    await using data = await createTestDataFolder();
    const env = { DATA_DIR: data.folder };
    const path = join(root, 'examples/scenarios/helpdesk.yaml');
    expect((await scenarios(['import', path], env)).out).toContain('scenario helpdesk: created, version 1');
    const exported = await scenarios(['export', 'helpdesk'], env);
    expect(parseScenarioFile('out', Buffer.from(exported.out)).content).toEqual(
      parseScenarioFile('in', await readFile(path)).content,
    );
    await using _holder = await openEmbeddedPostgres(data.folder);
    expect((await scenarios(['import', path], env)).out).toContain('scenario helpdesk: unchanged, version 1');
  });
});
