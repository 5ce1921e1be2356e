import { llmConfig } from '../../agents/providers/config.ts';
import { NotFoundError } from '../../api/errors.ts';
import type { Db } from '../../database/client.ts';
import { readGuardrails } from '../../guardrails/config.ts';
import { writeGuardrails } from '../../guardrails/input.ts';
import { findProjectOfTenant } from '../../projects/access.ts';
import { defaultThreshold, readOrchestration } from '../orchestration.ts';
import type { ScenarioContent, WrittenScenario } from './format.ts';

/**
 * Exports a scenario of a tenant with its agents in the form of a file; importing it again changes nothing. It never
 * contains keys, nor speech providers.
 * @param project its id or key; null: the scenario for all projects
 * @throws {NotFoundError} if there is no scenario of the key, or no such project
 */
export async function exportScenario(
  tenantId: string,
  db: Db,
  key: string,
  project: string | null = null,
): Promise<WrittenScenario> {
  const of = project === null ? null : await findProjectOfTenant(db, tenantId, project);
  if (project !== null && of === null)
    throw new NotFoundError(
      `There is no project ${JSON.stringify(project)} in the tenant ${JSON.stringify(tenantId)}.`,
    );
  const scenario = await db.scenario.findFirst({
    where: { tenantId, key, projectId: of?.id ?? null },
    include: {
      agents: {
        orderBy: { position: 'asc' },
        include: {
          agent: true,
          handoffs: { orderBy: { position: 'asc' }, include: { to: { include: { agent: true } } } },
        },
      },
    },
  });
  if (scenario === null) {
    const where = `the tenant ${JSON.stringify(tenantId)}${of === null ? '' : `, project ${JSON.stringify(of.key)}`}`;
    throw new NotFoundError(`There is no scenario with the key ${JSON.stringify(key)} in ${where}.`);
  }
  const names = new Map(scenario.agents.map(({ agent }) => [agent.id, agent.name]));
  const write = (stored: unknown) => writeGuardrails(readGuardrails(stored), (id) => names.get(id) ?? id);
  const guardrails = write(scenario.guardrails);
  const { mode, classifierAgentId, threshold, instructions } = readOrchestration(scenario);
  const isOrchestrated = mode !== 'OFF' || classifierAgentId !== null || instructions !== null;
  return {
    version: 1,
    scenario: {
      key,
      name: scenario.name,
      ...(scenario.description !== null && { description: scenario.description }),
      ...(of !== null && { projectId: of.key }),
      ...(!scenario.isActive && { isActive: false }),
      root: scenario.agents.find(({ isRoot }) => isRoot)?.agent.name ?? '',
      ...(guardrails.length > 0 && { guardrails }),
      ...((isOrchestrated || threshold !== defaultThreshold) && {
        orchestration: {
          mode,
          ...(classifierAgentId !== null && { classifier: names.get(classifierAgentId) ?? classifierAgentId }),
          threshold,
          ...(instructions !== null && { instructions }),
        },
      }),
    },
    agents: scenario.agents.map(({ agent, handoffs }) => ({
      name: agent.name,
      ...(agent.description !== null && { description: agent.description }),
      instructions: agent.instructions,
      ...(agent.toolNames.length > 0 && { tools: agent.toolNames }),
      ...(agent.llm !== null && { llm: writeProvider(agent.llm) }),
      ...(readGuardrails(agent.guardrails).length > 0 && { guardrails: write(agent.guardrails) }),
      ...(!agent.isActive && { isActive: false }),
      ...(handoffs.length > 0 && {
        handoffs: handoffs.map(({ to, description }) => ({
          to: to.agent.name,
          ...(description !== null && { description }),
        })),
      }),
    })),
  };
}

type WrittenProvider = NonNullable<ScenarioContent['agents'][number]['llm']>;

/** A provider without what the server itself stores in it. */
function writeProvider(stored: unknown): WrittenProvider {
  const { provider, model, api, apiUrl, completionsPath, options } = llmConfig.parse(stored);
  const hasOptions = typeof options === 'object' && options !== null && !Array.isArray(options);
  return {
    provider,
    model,
    api,
    ...(apiUrl !== null && { apiUrl }),
    ...(completionsPath !== null && { completionsPath }),
    ...(hasOptions && { options }),
  };
}
