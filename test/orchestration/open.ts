import { randomUUID } from 'node:crypto';
import type { ReceivedRequest } from '../../src/demo/steps.ts';
import type { TestApp } from '../support/app.ts';
import { openNewUser, openSocketClient } from '../support/chat.ts';
import type { TestStep } from '../support/scripted-model/script.ts';

type Input = Readonly<Record<string, unknown>>;

/** Whether a classifier is asked which agent answers. */
export const isRouting = ({ body }: ReceivedRequest): boolean => JSON.stringify(body).includes('"name":"routing"');
const isAnswer = (request: ReceivedRequest): boolean => !isRouting(request);

/** A step in which the classifier says what it is given; an object as JSON. */
export function choice(said: object | string, more: Partial<TestStep> = {}): TestStep {
  return { match: isRouting, text: typeof said === 'string' ? said : JSON.stringify(said), ...more };
}

/** A step in which an agent answers. */
export function reply(text: string, more: Partial<TestStep> = {}): TestStep {
  return { match: isAnswer, text, ...more };
}

/** What a classifier says that is certain. */
export const certain = (agent: string, more: Input = {}) => {
  return { agent, confidence: 0.9, reasoning: `It is about ${agent}.`, alternatives: [], ...more };
};

const createAgent = `mutation ($input: CreateAgentInput!) { createAgent(input: $input) { id } }`;
const createScenario = `mutation ($input: ScenarioInput!) { createScenario(input: $input) { id key orchestration { mode threshold
  instructions classifier { name } } } }`;
const runDocument = `query ($id: ID!) { run(id: $id) {
  status agent { name } error { code message }
  routingDecision { rootAgent { name } selectedAgents { name } selectedTools confidence reasoning alternatives }
  userMessage { content routingDecision { rootAgent { name } confidence reasoning } }
  messages { content agent { name } } handoffs { toAgent { name } }
  guardrailResults { guardrail stage tripwireTriggered }
  usage { modelCalls totalTokens complete }
} }`;

/** What a test says of a scenario. */
export interface OrchestratedInput {
  readonly orchestration?: Input;
  /** Of the scenario. */
  readonly guardrails?: readonly Input[];
  /** Further fields of the agents, by name; `classifier` is one beside the scenario. */
  readonly agents?: Readonly<Record<string, Input>>;
}

/**
 * A tenant of its own with an orchestrated scenario of three agents without handoffs (desk is the root, billing, orders), and
 * one user of it in a conversation.
 */
export async function openOrchestrated(app: TestApp, given: OrchestratedInput = {}) {
  const tenant = `tenant-${randomUUID()}`;
  const admin = await openSocketClient(app, { sub: 'root', tenant, roles: ['admin'] });
  const ids: Record<string, string> = {};
  for (const name of ['desk', 'billing', 'orders', 'classifier']) {
    const shared = { name: `my_${name}`, instructions: `You are ${name}.`, description: `Is for ${name}.` };
    const input = { ...shared, isShared: true, ...given.agents?.[name] };
    ids[name] = (await admin.ask(createAgent, { input })).createAgent.id;
  }
  const { classifier = '', ...members } = ids;
  const orchestration = { mode: 'EVERY_TURN', classifierAgentId: classifier, ...given.orchestration };
  const input = {
    ...{ key: 'mine', name: 'Mine', rootAgentId: ids.desk, orchestration },
    agents: Object.values(members).map((agentId) => ({ agentId, handoffs: [] })),
    ...(given.guardrails && { guardrails: given.guardrails }),
  };
  const scenario = (await admin.ask(createScenario, { input })).createScenario;
  const user = await openNewUser(app, { tenant });
  const conversationId = await user.createConversation('mine');
  const say = (content: string, more: Input = {}) => user.chatTurn('ws', { conversationId, content, ...more });
  const readRun = async (id: string) => (await user.ask(runDocument, { id })).run;
  return {
    ...user,
    tenant,
    admin,
    ids,
    scenario,
    conversationId,
    say,
    readRun,
    /** Says something, and reads the run as it is stored. */
    async turn(content: string, more: Input = {}) {
      const events = await say(content, more).rest();
      const runId = events[0]?.runId ?? '';
      const types = events.map(({ __typename }) => __typename);
      return { events, types, runId, run: await readRun(runId) };
    },
    async activeAgent(): Promise<string> {
      const { conversation } = await user.ask('query ($id: ID!) { conversation(id: $id) { activeAgent { name } } }', {
        id: conversationId,
      });
      return conversation.activeAgent.name;
    },
  };
}
