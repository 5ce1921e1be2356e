import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { z } from 'zod';
import { providerInputs } from '../../agents/providers/input.ts';
import { list, text } from '../../api/input.ts';
import { readYaml } from '../../api/yaml.ts';
import { guardrailsInFile, listClassifiers } from '../../guardrails/input.ts';
import { findGraphProblems } from '../check-graph.ts';
import { scenarioParts } from '../input.ts';
import { orchestrationInFile } from '../orchestration.ts';

const { key, name, description, projectId, members, handoffs } = scenarioParts;

/** As in mutations, but without a key: keys must not be in files. */
const llm = providerInputs.llm.unwrap().unwrap().omit({ apiKey: true });

const agent = z.strictObject({
  name,
  description: description.optional(),
  instructions: text(1, 100_000),
  tools: list(
    z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be the name of a tool: 1 to 64 letters, digits, _ or -'),
    100,
  )
    .refine((names) => new Set(names).size === names.length, 'must not contain duplicates')
    .default([]),
  llm: llm.nullish(),
  /** Absent: the stored ones stay. */
  guardrails: guardrailsInFile.optional(),
  isActive: z.boolean().default(true),
  handoffs: handoffs(z.strictObject({ to: name, description: description.optional() })).default([]),
});

const fileSchema = z
  .strictObject({
    version: z.literal(1, 'must be 1, the version of this format'),
    tenant: text(1, 255).optional(),
    scenario: z.strictObject({
      key,
      name,
      description: description.optional(),
      projectId: projectId.optional(),
      isActive: z.boolean().default(true),
      root: name,
      guardrails: guardrailsInFile.default([]),
      orchestration: orchestrationInFile.optional(),
    }),
    agents: members(agent),
  })
  .superRefine((file, context) => {
    const names = new Set(file.agents.map((entry) => entry.name));
    const refuseUnknown = (agentName: string, path: (string | number)[]) => {
      if (names.has(agentName)) return;
      const message = `names no agent of this file: ${JSON.stringify(agentName)}`;
      context.addIssue({ code: 'custom', path, message });
    };
    const classifiers = [
      ...listClassifiers(file.scenario.guardrails, ['scenario', 'guardrails']),
      ...file.agents.flatMap((entry, index) =>
        listClassifiers(entry.guardrails ?? [], ['agents', index, 'guardrails']),
      ),
    ];
    for (const { agentId, path } of classifiers) refuseUnknown(agentId, [...path.slice(0, -1), 'agent']);
    const classifier = file.scenario.orchestration?.classifier;
    if (classifier !== undefined) refuseUnknown(classifier, ['scenario', 'orchestration', 'classifier']);
    const draft = {
      root: file.scenario.root,
      isOrchestrated: (file.scenario.orchestration?.mode ?? 'OFF') !== 'OFF',
      members: file.agents.map((entry) => ({ agent: entry.name, handoffs: entry.handoffs.map(({ to }) => to) })),
    };
    const problems = findGraphProblems(draft, {
      key: file.scenario.key,
      root: ['scenario', 'root'],
      member: (index) => ['agents', index, 'name'],
      handoff: (index, place) => ['agents', index, 'handoffs', place, 'to'],
      nameOf: (agentName) => agentName,
    });
    for (const { path, message } of problems) context.addIssue({ code: 'custom', path: [...path], message });
    for (const [index, entry] of file.agents.entries()) {
      if (entry.isActive) continue;
      const message = `${JSON.stringify(entry.name)} is a member of the scenario and cannot be inactive`;
      context.addIssue({ code: 'custom', path: ['agents', index, 'isActive'], message });
    }
  });

/** The content of a file: one scenario, and the shared agents that it needs. */
export type ScenarioContent = z.output<typeof fileSchema>;
/** The content of a file before it is parsed: fields with defaults may be absent. */
export type WrittenScenario = z.input<typeof fileSchema>;

/** A scenario file that was read and checked. */
export interface ScenarioFile {
  /** Its path, for messages. */
  readonly path: string;
  /** SHA-256 of the file, in hexadecimal. */
  readonly checksum: string;
  readonly content: ScenarioContent;
}

/** A scenario file is invalid. The message names the file, the field and the reason. */
export class ScenarioFileError extends Error {
  override readonly name = 'ScenarioFileError';

  /** @param problems one line each */
  constructor(path: string, problems: readonly string[]) {
    super(`The scenario file ${path} is invalid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

/** The maximum size of a file, in bytes. */
export const maxFileBytes = 1_048_576;
/** The maximum number of problems that one message names. */
const maxProblems = 20;

/**
 * Parses a scenario file: YAML 1.2, or JSON, which is also YAML.
 * @param path for messages
 * @throws {ScenarioFileError} naming all problems: a file that is too large, not UTF-8 or not YAML, duplicate keys,
 *   several documents, unknown fields, values outside their limits, an invalid graph
 */
export function parseScenarioFile(path: string, bytes: Uint8Array): ScenarioFile {
  const parsed = fileSchema.safeParse(readContent(path, bytes));
  if (parsed.success) {
    return { path, checksum: createHash('sha256').update(bytes).digest('hex'), content: parsed.data };
  }
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`);
  const more = problems.length > maxProblems ? [`and ${problems.length - maxProblems} more`] : [];
  throw new ScenarioFileError(path, [...problems.slice(0, maxProblems), ...more]);
}

function readContent(path: string, bytes: Uint8Array): unknown {
  if (bytes.length > maxFileBytes) {
    throw new ScenarioFileError(path, [`it is larger than ${maxFileBytes.toLocaleString('en-US')} bytes`]);
  }
  let source: string;
  try {
    source = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ScenarioFileError(path, ['it is not UTF-8']);
  }
  try {
    return readYaml(source);
  } catch (error) {
    throw new ScenarioFileError(path, [error instanceof Error ? error.message : 'it cannot be read']);
  }
}

/** Formats a scenario as a file; parsing it gives the same content. */
export function formatScenarioFile(content: WrittenScenario, format: 'yaml' | 'json'): string {
  if (format === 'json') return `${JSON.stringify(content, null, 2)}\n`;
  return stringify(content, { version: '1.2', schema: 'core', lineWidth: 0, aliasDuplicateObjects: false });
}
