import { z } from 'zod';
import type { Harness, Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { round } from '../round.ts';
import { median } from '../statistics.ts';
import { type Switchboard, startSwitchboard } from '../switchboard.ts';
import type { Slot } from '../turn-client.ts';

const asked = { tokens: 5, perSecond: 50 };
const warmUps = 10;

/** The turns that are compared, each of a user of its own. */
const kinds = [
  { name: 'without orchestration', user: 'plain', scenarioKey: 'assistant' },
  { name: 'orchestrated, one agent can answer', user: 'alone', scenarioKey: 'orchestrated' },
  { name: 'orchestrated, a classifier chooses', user: 'chosen', scenarioKey: 'orchestrated' },
] as const;

const created = z.object({ createConversation: z.object({ id: z.string() }) });
const used = z.object({ viewer: z.object({ usage: z.object({ modelCalls: z.int() }) }) });
const agents = z.object({
  agents: z.object({ edges: z.array(z.object({ node: z.object({ id: z.string(), name: z.string() }) })) }),
});

/** One turn after another of each kind: how much later the first token comes, and how many model calls a turn takes. */
export async function measureOrchestration(harness: Harness): Promise<Report> {
  const kind = harness.databases.at(-1) ?? 'embedded';
  await using system = await startSwitchboard(kind, harness, { probe });
  await enableOneAgent(system, 'alone');
  const turns = harness.quick ? 20 : 100;
  const direct: number[] = [];
  const times = new Map<string, number[]>(kinds.map(({ name }) => [name, []]));
  for (let turn = 0; turn < warmUps + turns; turn++) {
    const own = await harness.load.call('askEndpoint', { url: harness.endpointUrl, asked }, z.number());
    if (turn >= warmUps) direct.push(own);
    for (const { name, user, scenarioKey } of kinds) {
      await harness.load.call('connect', [await openSlot(system, user, scenarioKey)], z.int());
      const { firstTokenMs } = await harness.load.call('run', asked, round);
      if (turn >= warmUps) times.get(name)?.push(firstTokenMs);
    }
  }
  const base = median(times.get(kinds[0].name) ?? []);
  const rows: string[][] = [];
  for (const { name, user } of kinds) {
    const took = median(times.get(name) ?? []);
    const { viewer } = await system.ask(user, '{ viewer { usage { modelCalls } } }', {}, used);
    const calls = viewer.usage.modelCalls / (warmUps + turns);
    rows.push([name, took.toFixed(2), (took - base).toFixed(2), calls.toFixed(2)]);
  }
  return {
    title: `orchestration: one turn after another (${system.name})`,
    columns: ['', 'first token, median ms', 'added ms', 'model calls of a turn'],
    rows: [['endpoint', median(direct).toFixed(2), '', ''], ...rows],
    notes: [`${turns} turns each, in turns, each in a new conversation. The classifier is the same endpoint.`],
  };
}

/** Leaves a user one agent of all. */
async function enableOneAgent(system: Switchboard, user: string): Promise<void> {
  const found = await system.ask(user, '{ agents { edges { node { id name } } } }', {}, agents);
  const ids = found.agents.edges.flatMap(({ node }) => (node.name === 'assistant' ? [node.id] : []));
  const document =
    'mutation ($input: UpdateChatSettingsInput!) { updateChatSettings(input: $input) { enabledAgents { id } } }';
  await system.ask(user, document, { input: { enabledAgents: ids } }, z.unknown());
}

async function openSlot({ ask, address, tokenOf }: Switchboard, user: string, scenarioKey: string): Promise<Slot> {
  const document = 'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }';
  const { createConversation } = await ask(user, document, { input: { scenarioKey } }, created);
  const token = await tokenOf(user);
  return { protocol: 'graphql', url: `ws://${address.host}/graphql`, token, conversationId: createConversation.id };
}
