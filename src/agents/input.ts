import { z } from 'zod';
import { badInput, list, parseInput, text } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Guardrail } from '../guardrails/config.ts';
import { guardrailInputs } from '../guardrails/input.ts';
import { projectName } from '../projects/input.ts';
import type { AgentDependencies } from './dependencies.ts';
import { outputSchemaInput } from './output-schema.ts';
import { checkProviders, type ProviderDrafts, providerInputs } from './providers/input.ts';
import { visibleAgents } from './visible.ts';

const boolean = z.boolean({ error: 'must be true or false' });

/** Knowledge bases of one agent, at most. */
const maxKnowledgeBases = 50;

const fields = {
  name: text(1, 255),
  description: text(1, 2_000).nullish(),
  instructions: text(1, 100_000),
  tools: list(z.string({ error: 'must be the name of a tool' }), 100).nullish(),
  guardrails: guardrailInputs.nullish(),
  outputSchema: outputSchemaInput.nullish(),
  knowledgeBaseIds: list(z.string({ error: 'must be a string' }), maxKnowledgeBases).nullish(),
  ...providerInputs,
};

const createInput = z.strictObject({
  ...fields,
  isDefault: boolean.nullish(),
  isActive: boolean.nullish(),
  isShared: boolean.nullish(),
  projectId: projectName.nullish(),
});

const updateInput = z.strictObject({
  ...fields,
  name: fields.name.optional(),
  instructions: fields.instructions.optional(),
  isActive: boolean.optional(),
});

const basesPath = ['input', 'knowledgeBaseIds'] as const;

/** A checked CreateAgentInput. */
export interface NewAgent {
  readonly name: string;
  readonly description: string | null;
  readonly instructions: string;
  readonly toolNames: string[];
  readonly isDefault: boolean;
  readonly isActive: boolean;
  readonly isShared: boolean;
  /** The id or the key of its project; null: none. */
  readonly project: string | null;
  /** Their classifiers are named by public ids. */
  readonly guardrails: readonly Guardrail[];
  /** JSON Schema of its answers; null: any text. */
  readonly outputSchema: Readonly<Record<string, unknown>> | null;
  /** The row ids of the bases that it searches. */
  readonly knowledgeBaseIds: readonly string[];
  readonly providers: ProviderDrafts;
}

/** A checked UpdateAgentInput. Undefined: the field stays as it is. */
export interface AgentChange {
  readonly name: string | undefined;
  readonly description: string | null | undefined;
  readonly instructions: string | undefined;
  readonly toolNames: string[] | undefined;
  readonly isActive: boolean | undefined;
  /** Their classifiers are named by public ids. */
  readonly guardrails: readonly Guardrail[] | undefined;
  /** JSON Schema of its answers; null: any text from now on. */
  readonly outputSchema: Readonly<Record<string, unknown>> | null | undefined;
  /** The row ids of the bases that it searches. */
  readonly knowledgeBaseIds: readonly string[] | undefined;
  /** Kinds that stay are absent; null: the provider is removed. */
  readonly providers: ProviderDrafts;
}

/**
 * Checks a CreateAgentInput. Nothing is written.
 * @throws {BadUserInputError} naming the field and what it must be; keys are never part of the message
 */
export async function parseNewAgent(viewer: Viewer, deps: AgentDependencies, input: unknown): Promise<NewAgent> {
  const parsed = parseInput(createInput, input, ['input']);
  const isDefault = parsed.isDefault ?? false;
  const isActive = parsed.isActive ?? true;
  if (isDefault && !isActive) throw badInput(['input', 'isDefault'], 'cannot be true of an agent that is not active');
  const project = parsed.projectId ?? null;
  if (project !== null && isDefault) throw badInput(['input', 'isDefault'], 'cannot be true of an agent of a project');
  if (project !== null && parsed.isShared === true)
    throw badInput(
      ['input', 'isShared'],
      'cannot be true with a projectId: the agent is for the members of the project',
    );
  return {
    name: parsed.name,
    description: parsed.description ?? null,
    project,
    instructions: parsed.instructions,
    isDefault,
    isActive,
    isShared: parsed.isShared ?? false,
    guardrails: parsed.guardrails ?? [],
    outputSchema: parsed.outputSchema ?? null,
    knowledgeBaseIds: await deps.findKnowledgeBases(viewer, parsed.knowledgeBaseIds ?? [], basesPath),
    providers: checkProviders(deps, parsed),
    toolNames: await checkTools(viewer, deps, parsed.tools ?? [], async () => []),
  };
}

/**
 * Checks an UpdateAgentInput: absent fields stay; null removes a description, tools, guardrails or a provider. Tools that the agent
 * already has may stay, also while they are unavailable.
 * @param agentId the row id
 * @throws {BadUserInputError} as `parseNewAgent` does
 */
export async function parseAgentChange(
  viewer: Viewer,
  deps: AgentDependencies,
  agentId: string,
  input: unknown,
): Promise<AgentChange> {
  const parsed = parseInput(updateInput, input, ['input']);
  const readPresent = async () => {
    const where = { ...visibleAgents(viewer), id: agentId };
    return (await deps.db.agent.findUnique({ where, select: { toolNames: true } }))?.toolNames ?? [];
  };
  return {
    name: parsed.name,
    description: parsed.description,
    instructions: parsed.instructions,
    isActive: parsed.isActive,
    knowledgeBaseIds:
      parsed.knowledgeBaseIds === undefined
        ? undefined
        : await deps.findKnowledgeBases(viewer, parsed.knowledgeBaseIds ?? [], basesPath),
    guardrails: parsed.guardrails === undefined ? undefined : (parsed.guardrails ?? []),
    outputSchema: parsed.outputSchema,
    providers: checkProviders(deps, parsed),
    toolNames: parsed.tools === undefined ? undefined : await checkTools(viewer, deps, parsed.tools ?? [], readPresent),
  };
}

/**
 * Checks that each name is of a tool of the tenant, or of one that the agent already has.
 * @param readPresent reads the names that the agent already has
 * @returns the names without repeats
 */
async function checkTools(
  viewer: Viewer,
  deps: AgentDependencies,
  names: readonly string[],
  readPresent: () => Promise<readonly string[]>,
): Promise<string[]> {
  if (names.length === 0) return [];
  const present = new Set(await readPresent());
  // Listing tools waits for MCP servers that do not respond, so it is done only if it is necessary.
  const known = names.every((name) => present.has(name)) ? present : await deps.toolNames(viewer);
  for (const [index, name] of names.entries()) {
    if (known.has(name) || present.has(name)) continue;
    throw badInput(['input', 'tools', index], `names an unknown tool: ${JSON.stringify(name.slice(0, 100))}`);
  }
  return [...new Set(names)];
}
