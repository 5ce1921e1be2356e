import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { readActiveAgent } from '../read/active-agent.ts';

builder.prismaObjectField('Conversation', 'activeAgent', (t) =>
  t.field({
    type: AgentRef,
    nullable: true,
    description:
      'The active agent: the one that answers the next turn. A handoff changes it. In a conversation that was created with neither a scenario nor an agent, it is the current default agent. Null if no agent can answer, for example while the root agent of the scenario is switched off.',
    select: { activeAgent: { select: { isActive: true, deletedAt: true } } },
    resolve: (conversation, _args, context) => readActiveAgent(conversation, context),
  }),
);
