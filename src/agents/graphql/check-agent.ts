import { builder } from '../../graphql/builder.ts';
import { RunErrorRef, UsageRef } from '../../graphql/refs.ts';
import { type AgentTest, testAgent } from '../check/check-agent.ts';

const AgentTestProblem = builder.enumType('AgentTestProblem', {
  description: 'The cause of a failed `testAgent`, as far as the provider’s failure reveals it.',
  values: {
    INVALID_KEY: { description: 'The provider rejected the API key, or the key does not give access to this model.' },
    UNKNOWN_MODEL: { description: 'The provider does not have this model.' },
    UNREACHABLE: {
      description: 'No connection to the address: check the host name, the port, the network and the certificate.',
    },
    TIMEOUT: {
      description: 'The provider stopped sending, or did not finish within AGENT_TEST_TIMEOUT_SECONDS (default 30).',
    },
    ADDRESS_NOT_ALLOWED: {
      description:
        'The address is private and the operator has not listed it in MODEL_ALLOWED_HOSTS. No request was sent.',
    },
    RATE_LIMITED: { description: 'The provider received too many requests, or the quota of the account is used up.' },
    REFUSED: { description: 'The model, or its provider’s content filter, refused this prompt.' },
    BAD_ANSWER: {
      description: 'The response is not of the expected API: check `apiUrl`, `completionsPath` and `api`.',
    },
    OTHER: { description: 'Any other failure. `error.message` describes it.' },
  } as const,
});

const AgentTestResult = builder.objectRef<AgentTest>('AgentTestResult').implement({
  description: 'The outcome of one prompt that was sent to an agent’s provider.',
  fields: (t) => ({
    ok: t.exposeBoolean('ok', { description: 'Whether the model finished its answer.' }),
    output: t.exposeString('output', {
      nullable: true,
      description:
        'The text that the model wrote, at most 10,000 characters. If the call failed, the text up to the failure. Null if it wrote nothing.',
    }),
    error: t.expose('error', {
      type: RunErrorRef,
      nullable: true,
      description: 'The error with which a turn would have ended. Null if the call succeeded.',
    }),
    problem: t.expose('problem', {
      type: AgentTestProblem,
      nullable: true,
      description: 'What to check first. Null if the call succeeded.',
    }),
    latencyMs: t.exposeInt('latencyMs', { description: 'The duration of the whole call, in milliseconds.' }),
    timeToFirstTokenMs: t.exposeInt('timeToFirstTokenMs', {
      nullable: true,
      description: 'The time until the first token arrived, reasoning included, in milliseconds. Null if none arrived.',
    }),
    usage: t.expose('usage', {
      type: UsageRef,
      description: 'The tokens that the call used. They are included in `viewer.usage`.',
    }),
  }),
});

builder.mutationFields((t) => ({
  testAgent: t.field({
    type: AgentTestResult,
    description:
      'Sends one prompt to the agent’s provider, with the agent’s instructions and without tools, and returns the outcome. The text of the provider’s own error is not included. Limited by RATE_LIMIT_AGENT_TESTS.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The agent’s id, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      prompt: t.arg.string({
        required: true,
        description: 'The user message to send, 1 to 10,000 characters. Example: `Say hello`.',
      }),
    },
    resolve: (_root, args, context) =>
      testAgent(context.viewer, context.agentDeps, args.id, args.prompt, context.signal),
  }),
}));
