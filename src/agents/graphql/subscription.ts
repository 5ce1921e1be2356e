import { builder } from '../../graphql/builder.ts';
import { streamTest, type AgentTestTextDelta as TextDelta } from '../check/stream-test.ts';
import { AgentTestResult } from './types.ts';

const AgentTestTextDelta = builder.objectRef<TextDelta>('AgentTestTextDelta').implement({
  description:
    'A piece of the answer of a tested agent, in the order of the text. A client that reads slowly gets longer ones.',
  fields: (t) => ({
    delta: t.exposeString('delta', { description: 'The text to append to what came before.' }),
    timeToFirstTokenMs: t.exposeInt('timeToFirstTokenMs', {
      nullable: true,
      description:
        'The time until the first token of the answer arrived, reasoning included, in milliseconds; the same in each piece. Never null; it has the type of `AgentTestResult.timeToFirstTokenMs`, so that a document can select both.',
    }),
  }),
});

const AgentTestEvent = builder.unionType('AgentTestEvent', {
  types: [AgentTestTextDelta, AgentTestResult],
  description: 'What happens in a test of an agent: pieces of the answer, then its result, which is the last event.',
  resolveType: (event) => ('delta' in event ? AgentTestTextDelta : AgentTestResult),
});

builder.subscriptionField('testAgentEvents', (t) =>
  t.field({
    type: AgentTestEvent,
    description:
      'Does what `testAgent` does, under the same limits, and streams the answer: its text as the model writes it, at most 10,000 characters, then the result. To leave the stream cancels the request to the provider. Each subscription is a test of its own: a client that reconnects and subscribes again begins another one.',
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
    subscribe: (_root, args, context) => streamTest(context.viewer, context.agentDeps, args.id, args.prompt),
    resolve: (event) => event,
  }),
);
