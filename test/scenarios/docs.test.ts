import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { exportScenario } from '../../src/scenarios/files/export.ts';
import { parseScenarioFile } from '../../src/scenarios/files/format.ts';
import { startTestApp } from '../support/app.ts';
import { createTestDatabase } from '../support/database/database.ts';

// Whole servers start and stop here, next to other tests: this is room, not an expectation.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const root = join(import.meta.dirname, '../..');

/** The code blocks of the scenarios’ half of docs/scenarios.md, in their order. */
async function readBlocks(): Promise<{ readonly language: string; readonly code: string }[]> {
  const page = await readFile(join(root, 'docs/scenarios.md'), 'utf8');
  const half = page.slice(0, page.indexOf('\n## Tools'));
  return [...half.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = '']) => ({ language, code }));
}

test('What docs/scenarios.md prints works as printed: by mutations, by file, and both give the same', {
  timeout: 240_000,
}, async () => {
  const blocks = await readBlocks();
  await using database = await createTestDatabase();
  await using stack = new AsyncDisposableStack();
  const demo = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
  stack.defer(demo.close);
  await using app = await startTestApp({ databaseUrl: database.url, env: { OPENAI_BASE_URL: demo.url } });
  const token = await app.token({ sub: 'root', roles: ['admin'] });

  // Each document with the variables below it; ids are those of the answers before.
  const ids = new Map<string, string>();
  const answers: Record<string, unknown>[] = [];
  const documents = blocks.flatMap(({ language, code }, index) =>
    language === 'graphql' ? [[code, blocks[index + 1]] as const] : [],
  );
  expect(documents).toHaveLength(4);
  for (const [document, variables] of documents) {
    expect(variables?.language).toBe('json');
    const filled = `${variables?.code}`.replace(/<id of ([\w ]+)>/g, (_, name) => ids.get(name) ?? 'missing');
    const { data, errors } = await app.query(document, JSON.parse(filled), { token });
    expect(errors).toEqual([]);
    for (const answer of Object.values<{ id: string; name?: string }>(data)) {
      if (answer.name !== undefined) ids.set(answer.name, answer.id);
    }
    if (data.createConversation) ids.set('the conversation', data.createConversation.id);
    answers.push(data);
  }
  // The last two: a conversation, and a turn in it, with the demo model.
  expect(answers.slice(-2)).toMatchObject([
    { createConversation: { activeAgent: { name: 'front_desk' } } },
    {
      sendMessage: {
        handoffs: [{ fromAgent: { name: 'front_desk' }, toAgent: { name: 'hardware' } }],
        toolCalls: expect.arrayContaining([{ name: 'lookup_order', status: 'SUCCEEDED' }]),
        messages: expect.arrayContaining([
          { agent: { name: 'hardware' }, content: expect.stringContaining('I looked up order 1042') },
        ]),
      },
    },
  ]);

  // The file is the example, and is what was built by the mutations.
  const [yaml] = blocks.filter(({ language }) => language === 'yaml');
  const code = yaml?.code ?? '';
  expect(code).toBe(await readFile(join(root, 'examples/scenarios/helpdesk.yaml'), 'utf8'));
  const { content } = parseScenarioFile('helpdesk.yaml', Buffer.from(code));
  const built = await exportScenario('acme', app.app.db, 'helpdesk');
  expect(parseScenarioFile('built.json', Buffer.from(JSON.stringify(built))).content).toEqual(content);

  const folder = await mkdtemp(join(tmpdir(), 'switchboard-docs-'));
  try {
    const path = join(folder, 'helpdesk.yaml');
    await writeFile(path, code);
    // The commands as they are printed, for two tenants.
    const [shell] = blocks.filter(({ language }) => language === 'sh');
    const commands = (shell?.code ?? '')
      .split('\n')
      .flatMap((line) => /^npm run (?:-s )?scenarios -- (\w+)/.exec(line)?.[1] ?? []);
    expect(commands).toEqual(['import', 'import', 'export']);
    const run = (...args: string[]) =>
      spawnSync(process.execPath, ['scripts/scenarios.ts', ...args], {
        cwd: root,
        encoding: 'utf8',
        env: { PATH: process.env.PATH, DATABASE_URL: database.url },
      });
    expect(run('import', path, '--tenant', 'acme').stdout).toContain('scenario helpdesk: unchanged, version 1');
    expect(run('import', path).stdout).toContain('scenario helpdesk: created, version 1');
    const printed = run('export', 'helpdesk').stdout;
    expect(parseScenarioFile('printed.yaml', Buffer.from(printed)).content).toEqual(content);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('The error that docs/scenarios.md shows is the one that the server returns', async () => {
  const page = await readFile(join(root, 'docs/scenarios.md'), 'utf8');
  await using app = await startTestApp();
  const token = await app.token({ sub: 'root', roles: ['admin'] });
  await app.query('{ viewer { userId } }', {}, { token });
  await app.app.db.agent.createMany({
    data: ['front_desk', 'access'].map((name) => ({ tenantId: 'acme', name, instructions: 'Hi.' })),
  });
  const rows = await app.app.db.agent.findMany({ where: { tenantId: 'acme' } });
  const idOf = (name: string) => `agt_${rows.find((row) => row.name === name)?.id}`;
  const input = {
    key: 'helpdesk',
    name: 'IT help desk',
    rootAgentId: idOf('front_desk'),
    agents: [
      { agentId: idOf('front_desk'), handoffs: [{ toAgentId: idOf('access') }] },
      { agentId: idOf('access'), handoffs: [{ toAgentId: idOf('billing') }] },
    ],
  };
  const document = 'mutation ($input: ScenarioInput!) { createScenario(input: $input) { id } }';
  const { errors } = await app.query(document, { input }, { token });
  expect(errors).toHaveLength(1);
  expect(page).toContain(`\`${errors[0]?.message}\``);
});
