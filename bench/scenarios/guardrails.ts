import { z } from 'zod';
import type { Harness, Report } from '../harness.ts';
import { probe } from '../probe-arguments.ts';
import { round } from '../round.ts';
import { median } from '../statistics.ts';
import { type Switchboard, startSwitchboard } from '../switchboard.ts';
import type { Slot } from '../turn-client.ts';

const asked = { tokens: 10, perSecond: 100 };
const warmUps = 3;
/** How long the endpoint takes for a moderation, in milliseconds (endpoint.ts). */
const moderationMs = 100;
/** In characters: the endpoint writes them in 50 ms. */
const window = 10;

const inProcess = { check: { pii: ['EMAIL', 'CREDIT_CARD', 'IBAN'] }, action: 'REDACT' };
const moderation = { check: { moderation: {} } };

/** The turns that are compared, each of a user of its own. All guardrails pass. */
const kinds = [
  { name: 'no guardrail', user: 'free', guardrails: [] },
  { name: 'in the process, INPUT', user: 'local', guardrails: [{ stages: ['INPUT'], ...inProcess }] },
  {
    name: `in the process, OUTPUT, HOLD_BACK of ${window} characters`,
    user: 'held',
    guardrails: [{ stages: ['OUTPUT'], ...inProcess, mode: 'HOLD_BACK', window }],
  },
  {
    name: `a provider of ${moderationMs} ms, INPUT, BLOCKING`,
    user: 'blocking',
    guardrails: [{ stages: ['INPUT'], ...moderation }],
  },
  {
    name: `a provider of ${moderationMs} ms, INPUT, PARALLEL`,
    user: 'parallel',
    guardrails: [{ stages: ['INPUT'], ...moderation, mode: 'PARALLEL' }],
  },
] as const;

const createdAgent = z.object({ createAgent: z.object({ id: z.string() }) });
const createdConversation = z.object({ createConversation: z.object({ id: z.string() }) });

/** One turn after another of each kind: how much later the first token comes because of guardrails that pass. */
export async function measureGuardrails(harness: Harness): Promise<Report> {
  const kind = harness.databases.at(-1) ?? 'embedded';
  await using system = await startSwitchboard(kind, harness, { probe });
  const turns = harness.quick ? 10 : 50;
  const agents = new Map<string, string>();
  for (const { user, guardrails } of kinds) agents.set(user, await createAgent(system, user, guardrails));
  const times = new Map<string, number[]>(kinds.map(({ name }) => [name, []]));
  for (let turn = 0; turn < warmUps + turns; turn++) {
    for (const { name, user } of kinds) {
      await harness.load.call('connect', [await openSlot(system, user, agents.get(user) ?? '')], z.int());
      const { firstTokenMs } = await harness.load.call('run', asked, round);
      if (turn >= warmUps) times.get(name)?.push(firstTokenMs);
    }
  }
  const base = median(times.get(kinds[0].name) ?? []);
  return {
    title: `guardrails that pass: one turn after another (${system.name})`,
    columns: ['', 'first token, median ms', 'added ms'],
    rows: kinds.map(({ name }) => {
      const took = median(times.get(name) ?? []);
      return [name, took.toFixed(2), (took - base).toFixed(2)];
    }),
    notes: [
      `${turns} turns each, in turns, each in a new conversation. The endpoint writes ${asked.perSecond} tokens in a second.`,
    ],
  };
}

async function createAgent(
  { ask }: Switchboard,
  user: string,
  guardrails: (typeof kinds)[number]['guardrails'],
): Promise<string> {
  const document = 'mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }';
  const named = guardrails.map((guardrail) => ({ name: 'bench', ...guardrail }));
  const input = { name: 'guarded', instructions: 'Be brief.', guardrails: named };
  return (await ask(user, document, { input }, createdAgent)).createAgent.id;
}

async function openSlot({ ask, address, tokenOf }: Switchboard, user: string, agentId: string): Promise<Slot> {
  const document = 'mutation ($input: CreateConversationInput) { createConversation(input: $input) { id } }';
  const { createConversation } = await ask(user, document, { input: { agentId } }, createdConversation);
  const token = await tokenOf(user);
  return { protocol: 'graphql', url: `ws://${address.host}/graphql`, token, conversationId: createConversation.id };
}
