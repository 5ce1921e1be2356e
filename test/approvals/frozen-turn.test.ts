import { expect, test } from 'vitest';
import type { PausedTurn } from '../../src/engine/paused-turn.ts';
import type { PlannedAgent } from '../../src/engine/plan.ts';
import { readPauseState, writePauseState } from '../../src/runs/frozen-turn.ts';

const environment = { api: 'RESPONSES', apiUrl: 'http://localhost/v1', apiKey: 'sk-environment', model: 'm' } as const;
const tools = Array.from({ length: 100 }, (_, index) => ({
  name: `tool_${index}`,
  description: `marker-${index}.`,
  parameters: { type: 'object', properties: { a: { type: 'string', description: 'x'.repeat(500) } } },
  timeoutMs: 1_000,
  maxResultLength: 100,
  requiresApproval: true,
}));
const agents: PlannedAgent[] = Array.from({ length: 20 }, (_, index) => ({
  id: `agent-${index}`,
  name: `Agent \ud800 ${index}`,
  instructions: 'Help.',
  endpoint: environment,
  temperature: null,
  maxTokens: 10,
  // Each has them as objects of its own, and not all of them.
  tools: tools.slice(index).map((tool) => ({ ...tool })),
  handoffs: [{ toolName: 'transfer_to_x', toAgentId: 'agent-0', description: '' }],
}));
const paused: PausedTurn = {
  agentId: 'agent-0',
  step: 0,
  history: [{ role: 'user', content: 'hi' }],
  content: '',
  calls: [{ id: 'c', name: 'tool_0', arguments: '{}' }],
  outputs: [],
  usedCallIds: ['c'],
  elapsedMs: 1,
};
const turn = { agents: new Map(agents.map((agent) => [agent.id, agent])), guards: new Map(), tools: new Map() };

test('A tool that many agents have is stored once in a frozen turn, and each has its own again', () => {
  const written = writePauseState(turn, [{ name: 'tool_0' }], paused, environment);
  for (const { description } of tools) expect(written.split(JSON.stringify(description))).toHaveLength(2);
  expect(written).not.toContain('sk-environment');
  const state = readPauseState(JSON.parse(written));
  expect(state.paused).toEqual(paused);
  expect(state.agents.map((agent) => agent.tools)).toEqual(agents.map((agent) => agent.tools));
  // What no JSON column holds is mended.
  expect(state.agents[0]?.name).toBe('Agent \ufffd 0');
});

test('A frozen turn that an earlier version wrote, with each agent’s tools whole, is read', () => {
  const endpoint = { of: 'ENVIRONMENT', api: null, model: null, options: null };
  const old = { agents: agents.map((agent) => ({ ...agent, temperature: 0.7, endpoint })), paused };
  const state = readPauseState(JSON.parse(JSON.stringify(old)));
  expect(state.agents.map((agent) => agent.tools)).toEqual(agents.map((agent) => agent.tools));
  expect(state.definitions.size).toBe(0);
});

test.each([
  ['no state', null],
  ['no agents', { paused }],
  ['an agent without its provider', { agents: [{ ...agents[0], endpoint: undefined }], paused }],
])('A frozen turn is refused: %s', (_what, stored) => {
  expect(() => readPauseState(stored)).toThrow();
});
