import { z } from 'zod';
import { badInput, list, parseInput, text } from '../api/input.ts';
import { visibleAgents } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { AgentDependencies } from './dependencies.ts';
import { checkProviders, type ProviderDrafts, providerInputs } from './providers/input.ts';

const boolean = z.boolean({ error: 'must be true or false' });

const fields = {
  name: text(1, 255),
  description: text(1, 2_000).nullish(),
  instructions: text(1, 100_000),
  tools: list(z.string({ error: 'must be the name of a tool' }), 100).nullish(),
  ...providerInputs,
};

const createInput = z.strictObject({
  ...fields,
  isDefault: boolean.nullish(),
  isActive: boolean.nullish(),
  isShared: boolean.nullish(),
});

const updateInput = z.strictObject({
  ...fields,
  name: fields.name.optional(),
  instructions: fields.instructions.optional(),
  isActive: boolean.optional(),
});

/** What a new agent is made of, checked. */
export interface NewAgent {
  readonly name: string;
  readonly description: string | null;
  readonly instructions: string;
  readonly toolNames: string[];
  readonly isDefault: boolean;
  readonly isActive: boolean;
  readonly isShared: boolean;
  readonly providers: ProviderDrafts;
}

/** What changes of an agent, checked. Undefined: it stays as it is. */
export interface AgentChange {
  readonly name: string | undefined;
  readonly description: string | null | undefined;
  readonly instructions: string | undefined;
  readonly toolNames: string[] | undefined;
  readonly isActive: boolean | undefined;
  /** Without the kinds that stay; null: the agent has none of its own any more. */
  readonly providers: ProviderDrafts;
}

/**
 * Checks a CreateAgentInput. Nothing is written.
 * @throws {BadUserInputError} naming the field and what it must be; keys are never part of the message
 */
export async function readNewAgent(viewer: Viewer, deps: AgentDependencies, input: unknown): Promise<NewAgent> {
  const given = parseInput(createInput, input, ['input']);
  const isDefault = given.isDefault ?? false;
  const isActive = given.isActive ?? true;
  if (isDefault && !isActive) throw badInput(['input', 'isDefault'], 'cannot be true of an agent that is not active');
  return {
    name: given.name,
    description: given.description ?? null,
    instructions: given.instructions,
    isDefault,
    isActive,
    isShared: given.isShared ?? false,
    providers: checkProviders(deps, given),
    toolNames: await checkTools(viewer, deps, given.tools ?? [], async () => []),
  };
}

/**
 * Checks an UpdateAgentInput: what is absent stays; null takes a description, tools or a provider away. Tools that the
 * agent has already may stay, also while they are out of reach.
 * @param row the row id of the agent
 * @throws {BadUserInputError} as `readNewAgent` does
 */
export async function readAgentChange(
  viewer: Viewer,
  deps: AgentDependencies,
  row: string,
  input: unknown,
): Promise<AgentChange> {
  const given = parseInput(updateInput, input, ['input']);
  const readHeld = async () => {
    const where = { ...visibleAgents(viewer), id: row };
    return (await deps.db.agent.findUnique({ where, select: { toolNames: true } }))?.toolNames ?? [];
  };
  return {
    name: given.name,
    description: given.description,
    instructions: given.instructions,
    isActive: given.isActive,
    providers: checkProviders(deps, given),
    toolNames: given.tools === undefined ? undefined : await checkTools(viewer, deps, given.tools ?? [], readHeld),
  };
}

/**
 * The names without repeats; each has to be of a tool that the tenant has, or that the agent has been given before.
 * @param readHeld the names that the agent has
 */
async function checkTools(
  viewer: Viewer,
  deps: AgentDependencies,
  names: readonly string[],
  readHeld: () => Promise<readonly string[]>,
): Promise<string[]> {
  if (names.length === 0) return [];
  const held = new Set(await readHeld());
  // Servers that do not answer are waited for, so they are asked only where it matters.
  const known = names.every((name) => held.has(name)) ? held : await deps.toolNames(viewer);
  for (const [index, name] of names.entries()) {
    if (known.has(name) || held.has(name)) continue;
    throw badInput(['input', 'tools', index], `names a tool that there is not: ${JSON.stringify(name.slice(0, 100))}`);
  }
  return [...new Set(names)];
}
