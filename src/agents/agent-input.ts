import { z } from 'zod';
import type { Viewer } from '../auth/viewer.ts';
import { badInput, list, parseInput, text } from '../input.ts';
import type { AgentHost } from './host.ts';
import { checkProviders, type ProviderDrafts, providerInputs } from './provider-input.ts';

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
export async function readNewAgent(viewer: Viewer, host: AgentHost, input: unknown): Promise<NewAgent> {
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
    providers: checkProviders(host, given),
    toolNames: await checkTools(viewer, host, given.tools ?? []),
  };
}

/**
 * Checks an UpdateAgentInput: what is absent stays; null takes a description, tools or a provider away.
 * @throws {BadUserInputError} as `readNewAgent` does
 */
export async function readAgentChange(viewer: Viewer, host: AgentHost, input: unknown): Promise<AgentChange> {
  const given = parseInput(updateInput, input, ['input']);
  return {
    name: given.name,
    description: given.description,
    instructions: given.instructions,
    isActive: given.isActive,
    providers: checkProviders(host, given),
    toolNames: given.tools === undefined ? undefined : await checkTools(viewer, host, given.tools ?? []),
  };
}

/** The names without repeats; each has to be of a tool that the tenant has. */
async function checkTools(viewer: Viewer, host: AgentHost, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const known = await host.toolNames(viewer);
  for (const [index, name] of names.entries()) {
    if (known.has(name)) continue;
    throw badInput(['input', 'tools', index], `names a tool that there is not: ${JSON.stringify(name.slice(0, 100))}`);
  }
  return [...new Set(names)];
}
