import { builder } from '../../graphql/builder.ts';
import { RunErrorRef, UsageRef } from '../../graphql/refs.ts';
import { type AgentTest, testAgent } from '../check/check-agent.ts';

const AgentTestProblem = builder.enumType('AgentTestProblem', {
  description: 'What is wrong between an agent and its provider, as far as the failure tells.',
  values: {
    INVALID_KEY: { description: 'The provider does not accept the API key, or not for this model.' },
    UNKNOWN_MODEL: { description: 'The provider does not know the model.' },
    UNREACHABLE: { description: 'Nothing answers at the address: the name, the port, the network or the certificate.' },
    TIMEOUT: { description: 'The provider fell silent, or did not finish in time.' },
    ADDRESS_NOT_ALLOWED: {
      description: 'The address is private, and the operator’s MODEL_ALLOWED_HOSTS does not hold it. Nothing was sent.',
    },
    RATE_LIMITED: { description: 'The provider was asked too often, or the quota there is used up.' },
    REFUSED: { description: 'The model, or its provider’s filter, would not answer this prompt.' },
    BAD_ANSWER: { description: 'What answered does not speak the API: another path, or the other of the two APIs.' },
    OTHER: { description: 'Something else; the message says what.' },
  } as const,
});

const AgentTestResult = builder.objectRef<AgentTest>('AgentTestResult').implement({
  description: 'How one prompt went with the provider of an agent.',
  fields: (t) => ({
    ok: t.exposeBoolean('ok', { description: 'Whether the model answered to the end.' }),
    output: t.exposeString('output', {
      nullable: true,
      description: 'What it wrote, at most 10,000 characters, and what it had written before it failed. Null: nothing.',
    }),
    error: t.expose('error', { type: RunErrorRef, nullable: true, description: 'How a turn would have failed.' }),
    problem: t.expose('problem', {
      type: AgentTestProblem,
      nullable: true,
      description: 'What to look for where it failed. Null: it did not fail.',
    }),
    latencyMs: t.exposeInt('latencyMs', { description: 'How long it took to the end, in milliseconds.' }),
    timeToFirstTokenMs: t.exposeInt('timeToFirstTokenMs', {
      nullable: true,
      description: 'How long it took to the first token, reasoning included, in milliseconds. Null: there was none.',
    }),
    usage: t.expose('usage', {
      type: UsageRef,
      description: 'The tokens that it took. They are part of the viewer’s usage.',
    }),
  }),
});

builder.mutationFields((t) => ({
  testAgent: t.field({
    type: AgentTestResult,
    description:
      'Sends one prompt to the agent’s provider, with the agent’s instructions and without tools, and tells how it went. What the provider says of an error is not repeated.',
    args: {
      id: t.arg.id({ required: true, description: 'The agent’s id, agt_….' }),
      prompt: t.arg.string({ required: true, description: 'What to say: 1 to 10,000 characters.' }),
    },
    resolve: (_root, args, context) =>
      testAgent(context.viewer, context.agentDeps, args.id, args.prompt, context.signal),
  }),
}));
