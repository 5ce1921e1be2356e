import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../src', import.meta.url));
const contributing = fileURLToPath(new URL('../../CONTRIBUTING.md', import.meta.url));

/**
 * The folders of src/ by level, the lowest first. A file imports from its own folder and from folders of lower levels,
 * types included. CONTRIBUTING.md shows this table, and a test below compares the two.
 */
const levels: readonly (readonly string[])[] = [
  [
    'api',
    'config',
    'database/embedded',
    'engine',
    'event-loop',
    'knowledge/parse',
    'outbound',
    'telemetry',
    'tools/parameters',
  ],
  ['auth', 'database', 'knowledge/cite', 'log', 'providers/llm', 'telemetry/turns'],
  [
    'feed',
    'guardrails',
    'jobs',
    'limits',
    'log/redis',
    'providers/embeddings',
    'providers/speech',
    'secrets',
    'tools/contract',
  ],
  [
    'agents/providers',
    'attachments',
    'contacts',
    'demo',
    'exports',
    'knowledge/vectors',
    'projects',
    'server/operation',
    'tools/http',
    'tools/mcp',
    'webhooks',
  ],
  ['knowledge', 'tools/registry'],
  ['agents', 'attachments/fetch', 'tools/stored'],
  ['agents/check', 'scenarios', 'speech'],
  ['guardrails/moderate', 'orchestration', 'scenarios/files'],
  ['conversations', 'server/requests', 'tenants'],
  ['contacts/tools', 'conversations/search', 'conversations/share', 'conversations/titles', 'drafts', 'feedback'],
  ['context', 'orchestration/orchestrate', 'runs', 'tickets'],
  ['knowledge/search', 'memories', 'runs/plan', 'runs/remote', 'runs/transitions'],
  ['conversations/files', 'realtime', 'retention', 'runs/execute', 'runs/read', 'runs/upkeep'],
  ['graphql', 'runs/commands', 'runs/scheduler'],
  [
    'agents/graphql',
    'contacts/personal-data',
    'context/graphql',
    'conversations/graphql',
    'exports/graphql',
    'guardrails/graphql',
    'orchestration/graphql',
    'projects/graphql',
    'scenarios/graphql',
    'schedules',
    'server/plugins',
    'speech/graphql',
    'tenants/graphql',
    'tools/graphql',
    'webhooks/graphql',
  ],
  [
    'attachments/graphql',
    'contacts/graphql',
    'conversations/files/graphql',
    'drafts/graphql',
    'knowledge/graphql',
    'memories/graphql',
    'realtime/graphql',
    'runs/graphql',
    'server/http',
    'server/sockets',
  ],
  ['feedback/graphql', 'schedules/graphql', 'tickets/graphql'],
  ['boot'],
  ['.'],
];

/** Packages that only some folders may import. */
const reserved: readonly { readonly name: string; readonly packages: RegExp; readonly folders: RegExp }[] = [
  { name: 'Pothos', packages: /^@pothos\//, folders: /^graphql$|\/graphql$|^boot$/ },
  {
    name: 'Yoga and graphql-ws',
    packages: /^(graphql-yoga|graphql-ws|@graphql-yoga\/.*)(\/|$)/,
    folders: /^server(\/|$)/,
  },
  { name: 'the openai client', packages: /^openai(\/|$)/, folders: /^providers\// },
  { name: 'OpenTelemetry and Prometheus', packages: /^@(opentelemetry|prometheus-io)\//, folders: /^telemetry(\/|$)/ },
  { name: 'the MCP SDK', packages: /^@modelcontextprotocol\//, folders: /^tools\/mcp$/ },
];

interface Import {
  readonly from: string;
  /** A path under src, or the name of a package. */
  readonly to: string;
  readonly isInside: boolean;
}

const sources = new Map<string, string>();
let imports: Import[] = [];

beforeAll(async () => {
  for await (const file of glob('**/*.ts', { cwd: root })) {
    if (!file.startsWith('generated/')) sources.set(file, readFileSync(join(root, file), 'utf8'));
  }
  imports = [...sources].flatMap(([file, source]) => listImports(file, source));
  expect(sources.size).toBeGreaterThan(50);
  expect(imports.length).toBeGreaterThan(200);
});

describe('the levels', () => {
  test('Every folder of src has exactly one level, and every folder of the table exists', () => {
    const folders = [...new Set([...sources.keys()].map(dirname))].sort();
    expect(levels.flat().sort()).toEqual(folders);
  });

  test('A file imports from its own folder and from lower levels only', () => {
    const wrong = internal().filter(({ from, to }) => dirname(from) !== dirname(to) && levelOf(to) >= levelOf(from));
    expect(wrong.map(describeImport)).toEqual([]);
  });

  test('No files import each other in a circle, types included', () => {
    const graph = new Map([...sources.keys()].map((file) => [file, [] as string[]]));
    for (const { from, to } of internal()) graph.get(from)?.push(to);
    expect(findCycles(graph)).toEqual([]);
  });

  test('The search for circles finds one that is there', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['a']],
      ['d', ['a']],
    ]);
    expect(findCycles(graph)).toEqual([['a', 'b', 'c']]);
    expect(findCycles(new Map([['a', ['a']]]))).toEqual([['a']]);
  });

  test('CONTRIBUTING.md shows this table', () => {
    const rows = levels
      .map((folders, index) => `| ${index + 1} | ${folders.map((folder) => `\`${folder}\``).join(', ')} |`)
      .join('\n');
    expect(readFileSync(contributing, 'utf8')).toContain(`| level | folders |\n|---|---|\n${rows}\n`);
  });
});

describe('packages', () => {
  test.each(reserved)('Only the folders made for it import $name', ({ packages, folders }) => {
    const users = imports.filter(({ to, isInside }) => !isInside && packages.test(to));
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter(({ from }) => !folders.test(dirname(from))).map(describeImport)).toEqual([]);
  });

  test('The engine imports nothing but itself and Node', () => {
    const outside = imports.filter(
      ({ from, to }) => dirname(from) === 'engine' && dirname(to) !== 'engine' && !to.startsWith('node:'),
    );
    expect(outside.map(describeImport)).toEqual([]);
  });

  test('Resolvers and servers do not import the Prisma client, but for the types of its rows', () => {
    const leaks = imports.filter(
      ({ from, to }) =>
        /(^|\/)graphql$|^server(\/|$)/.test(dirname(from)) &&
        (/^@prisma\//.test(to) || to === 'database/client.ts') &&
        !importsOnlyTypes(from, to),
    );
    expect(leaks.map(describeImport)).toEqual([]);
  });
});

test('Config alone reads the environment', () => {
  const readers = [...sources].filter(
    ([file, source]) =>
      dirname(file) !== 'config' && /process\s*\.\s*env|\benv\b.*from 'node:process'/.test(stripComments(source)),
  );
  // main.ts passes the environment to readEnv, and reads nothing of it.
  expect(readers.map(([file]) => file).filter((file) => file !== 'main.ts')).toEqual([]);
  expect(stripComments(sources.get('main.ts') ?? '')).not.toMatch(/process\.env\s*[.[]/);
});

test('No file is longer than 300 lines, and none is a barrel', () => {
  const long = [...sources].filter(([, source]) => source.split('\n').length > 300);
  expect(long.map(([file]) => file)).toEqual([]);
  expect([...sources.keys()].filter((file) => /(^|\/)index\.ts$/.test(file))).toEqual([]);
});

test('No file name is vague', () => {
  const vague = [...sources.keys()].filter((file) => /(service|manager|helper|utils?)s?[.-]/i.test(file));
  expect(vague).toEqual([]);
});

function internal(): Import[] {
  return imports.filter(({ to, isInside }) => isInside && !to.startsWith('generated/'));
}

function listImports(from: string, source: string): Import[] {
  const statements = stripComments(source).matchAll(
    /^(?:import|export)\s+(?:type\s)?(?:[^;'"]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...statements].map(([, name, dynamic]) => {
    const target = name ?? dynamic ?? '';
    const isInside = target.startsWith('.');
    return { from, to: isInside ? relative(root, resolve(root, dirname(from), target)) : target, isInside };
  });
}

/** Whether a file imports nothing of another but types. */
function importsOnlyTypes(from: string, to: string): boolean {
  const statements = stripComments(sources.get(from) ?? '').matchAll(
    /^(?:import|export)\s[^;]*?from\s+['"]([^'"]+)['"]/gm,
  );
  const values = [...statements].filter(([statement, target = '']) => {
    const path = target.startsWith('.') ? relative(root, resolve(root, dirname(from), target)) : target;
    if (path !== to || /^(import|export)\s+type\s/.test(statement)) return false;
    const names = (/\{([^}]*)\}/.exec(statement)?.[1] ?? 'value').split(',').map((name) => name.trim());
    return !names.filter(Boolean).every((name) => name.startsWith('type '));
  });
  return values.length === 0;
}

function stripComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

function levelOf(file: string): number {
  return levels.findIndex((folders) => folders.includes(dirname(file)));
}

/** The strongly connected parts of a graph that are circles (Tarjan, 1972), each sorted. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[][] = [];
  const visit = (node: string): number => {
    const number = order.size;
    order.set(node, number);
    let lowest = number;
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) lowest = Math.min(lowest, visit(next));
      else if (stack.includes(next)) lowest = Math.min(lowest, low.get(next) ?? order.get(next) ?? lowest);
    }
    low.set(node, lowest);
    if (lowest === number) {
      const part = stack.splice(stack.indexOf(node));
      if (part.length > 1 || graph.get(node)?.includes(node)) cycles.push(part.sort());
    }
    return lowest;
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return cycles;
}

function describeImport({ from, to }: Import): string {
  return `${from} → ${to}`;
}
