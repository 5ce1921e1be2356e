import { z } from 'zod';
import { BadUserInputError, StartError } from '../api/errors.ts';
import { parseInput } from '../api/input.ts';
import type { ProviderRules } from './providers/defaults.ts';
import { checkProviders, providerInputs } from './providers/input.ts';

const providers = z.object({ llm: providerInputs.llm });

/**
 * Checks the models of seeded agents as `createAgent` checks its input.
 * @throws {StartError} naming the agent and the field
 */
export function checkSeededAgents(
  rules: ProviderRules,
  agents: readonly { readonly name: string; readonly llm?: unknown }[],
): void {
  for (const [index, { name, llm }] of agents.entries()) {
    try {
      const checked = checkProviders(rules, parseInput(providers, { llm }, ['input']));
      // A seed holds no keys.
      if (checked.llm?.operatorKeyProblem) throw checked.llm.operatorKeyProblem;
    } catch (error) {
      if (!(error instanceof BadUserInputError)) throw error;
      const problem = error.message.replace(/^input\./, '');
      throw new StartError(`agents.${index} (${JSON.stringify(name)}): ${problem}`);
    }
  }
}
