import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { list, text } from '../api/input.ts';
import { guardrailsInFile, listClassifiers } from '../guardrails/input.ts';
import type { SeededBase } from '../knowledge/seed-bases.ts';
import { findGraphProblems, type GraphProblem } from '../scenarios/check-graph.ts';
import { orchestrationInFile } from '../scenarios/orchestration.ts';
import { baseInFile, readSeededBases } from './seed-knowledge.ts';

const toolName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be the name of a tool: 1 to 64 letters, digits, _ or -');

const llm = z.strictObject({
  provider: text(1, 255),
  model: text(1, 200),
  api: z.enum(['RESPONSES', 'CHAT_COMPLETIONS']),
  apiUrl: text(1, 2_048).optional(),
  completionsPath: text(1, 2_048).optional(),
});

const agent = z.strictObject({
  name: text(1, 255),
  description: text(1, 2_000).optional(),
  instructions: text(1, 100_000),
  isDefault: z.boolean().default(false),
  tools: list(toolName, 100).default([]),
  llm: llm.optional(),
  /** Classifiers are agents of the file. */
  guardrails: guardrailsInFile.default([]),
});

const member = z.strictObject({
  agent: text(1, 255),
  handoffs: list(z.strictObject({ to: text(1, 255), description: text(1, 2_000).optional() }), 100).default([]),
});

const scenario = z.strictObject({
  key: text(1, 255),
  name: text(1, 255),
  description: text(1, 2_000).optional(),
  root: text(1, 255),
  agents: list(member, 100),
  /** Classifiers are agents of the file. */
  guardrails: guardrailsInFile.default([]),
  orchestration: orchestrationInFile.optional(),
});

const order = z.strictObject({
  number: text(1, 64),
  item: text(1, 500),
  status: text(1, 255),
  total: text(1, 255),
  eta: text(1, 255).optional(),
});

const seedFile = z
  .strictObject({
    agents: list(agent, 1_000),
    scenarios: list(scenario, 1_000).default([]),
    orders: list(order, 10_000).default([]),
    knowledgeBases: list(baseInFile, 100).default([]),
  })
  .superRefine((seed, context) => {
    for (const { path, message } of findProblems(seed)) context.addIssue({ code: 'custom', path: [...path], message });
  });

type SeedFile = z.output<typeof seedFile>;

/** What every new tenant gets: shared agents, scenarios, knowledge bases, and orders for the tool lookup_order. */
export interface Seed extends Omit<SeedFile, 'knowledgeBases'> {
  readonly knowledgeBases: readonly SeededBase[];
  /** SHA-256 of the file and of its documents, in hexadecimal. */
  readonly checksum: string;
}

/**
 * Reads and checks a seed file.
 * @throws {Error} naming the file and the invalid entry: not JSON, an unknown field, a duplicate name, a handoff to an
 *   agent that is not in the scenario, a document that cannot be read
 */
export async function readSeed(file: string): Promise<Seed> {
  const content = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`The seed file ${file} cannot be read.`, { cause });
  });
  const parsed = parseSeed(content, file);
  const knowledgeBases = await readSeededBases(file, parsed.knowledgeBases);
  const hash = createHash('sha256').update(content);
  for (const { documents } of knowledgeBases) for (const { data } of documents) hash.update(data);
  return { ...parsed, knowledgeBases, checksum: hash.digest('hex') };
}

function parseSeed(content: string, file: string) {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw new Error(`The seed file ${file} is not JSON.`, { cause });
  }
  const parsed = seedFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `- ${issue.path.join('.') || 'the file'}: ${issue.message}`);
  throw new Error(`The seed file ${file} is invalid:\n${problems.join('\n')}`);
}

function findProblems(seed: SeedFile): GraphProblem[] {
  const agents = seed.agents.map((entry) => entry.name);
  const defaults = seed.agents.flatMap((entry, index) => (entry.isDefault ? [index] : []));
  return [
    ...findRepeats(agents, (index) => ['agents', index, 'name']),
    ...defaults.slice(1).map((index) => ({
      path: ['agents', index, 'isDefault'],
      message: `only one agent can be the default, and ${agents[defaults[0] ?? 0]} is already`,
    })),
    ...findRepeats(
      seed.scenarios.map((entry) => entry.key),
      (index) => ['scenarios', index, 'key'],
    ),
    ...findRepeats(
      seed.orders.map((entry) => entry.number),
      (index) => ['orders', index, 'number'],
    ),
    ...findRepeats(
      seed.knowledgeBases.map((entry) => entry.name),
      (index) => ['knowledgeBases', index, 'name'],
    ),
    ...seed.agents.flatMap((entry, index) => findUnknownClassifiers(entry, ['agents', index], new Set(agents))),
    ...seed.scenarios.flatMap((entry, index) => findScenarioProblems(entry, ['scenarios', index], new Set(agents))),
  ];
}

function findUnknownClassifiers(
  { guardrails }: Pick<z.output<typeof agent>, 'guardrails'>,
  path: (string | number)[],
  known: ReadonlySet<string>,
): GraphProblem[] {
  return listClassifiers(guardrails, [...path, 'guardrails'])
    .filter(({ agentId }) => !known.has(agentId))
    .map(({ agentId, path: at }) => ({
      path: [...at.slice(0, -1), 'agent'],
      message: `names an unknown agent: ${JSON.stringify(agentId)} is not in agents`,
    }));
}

function findScenarioProblems(
  graph: z.output<typeof scenario>,
  path: (string | number)[],
  known: Set<string>,
): GraphProblem[] {
  const unknown = graph.agents.flatMap(({ agent }, index) =>
    known.has(agent)
      ? []
      : [
          {
            path: [...path, 'agents', index, 'agent'],
            message: `names an unknown agent: ${JSON.stringify(agent)} is not in agents`,
          },
        ],
  );
  const classifier = graph.orchestration?.classifier;
  const unknownClassifiers = [
    ...findUnknownClassifiers(graph, path, known),
    ...(classifier === undefined || known.has(classifier)
      ? []
      : [
          {
            path: [...path, 'orchestration', 'classifier'],
            message: `names an unknown agent: ${JSON.stringify(classifier)} is not in agents`,
          },
        ]),
  ];
  const draft = {
    root: graph.root,
    isOrchestrated: (graph.orchestration?.mode ?? 'OFF') !== 'OFF',
    members: graph.agents.map(({ agent, handoffs }) => ({ agent, handoffs: handoffs.map(({ to }) => to) })),
  };
  const problems = findGraphProblems(draft, {
    key: graph.key,
    root: [...path, 'root'],
    member: (index) => [...path, 'agents', index, 'agent'],
    handoff: (index, position) => [...path, 'agents', index, 'handoffs', position, 'to'],
    nameOf: (name) => name,
  });
  return [...unknown, ...unknownClassifiers, ...problems];
}

function findRepeats(values: readonly string[], pathOf: (index: number) => (string | number)[]): GraphProblem[] {
  return values.flatMap((value, index) =>
    values.indexOf(value) === index ? [] : [{ path: pathOf(index), message: `${JSON.stringify(value)} is duplicated` }],
  );
}
