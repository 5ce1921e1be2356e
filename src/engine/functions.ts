import type { PlannedAgent } from './plan.ts';
import type { ToolSpec } from './ports.ts';

/** The arguments of a transfer_to_<agent> tool. */
const handoffSchema = {
  type: 'object',
  properties: { reason: { type: 'string', description: 'Why, in one sentence.' } },
  additionalProperties: false,
};

/** All functions that a model is offered as an agent: its tools, and a transfer tool for each agent that it can hand off to. */
export function listFunctions({
  tools,
  handoffs,
  toolNotes = {},
}: Pick<PlannedAgent, 'tools' | 'handoffs' | 'toolNotes'>): ToolSpec[] {
  const describe = (name: string, description: string) =>
    Object.hasOwn(toolNotes, name) ? `${description} ${toolNotes[name]}` : description;
  return [
    ...tools.map(({ name, description, parameters }) => ({
      name,
      description: describe(name, description),
      parameters,
    })),
    ...handoffs.map(({ toolName, description }) => ({ name: toolName, description, parameters: handoffSchema })),
  ];
}
