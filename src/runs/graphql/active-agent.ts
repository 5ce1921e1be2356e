import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { readActiveAgent } from '../read/active-agent.ts';

builder.prismaObjectField('Conversation', 'activeAgent', (t) =>
  t.field({
    type: AgentRef,
    nullable: true,
    description:
      'Who answers next. A handoff moves it, and it stays there; where neither a scenario nor an agent was chosen, it is whoever is the default agent. Null where nobody can, as while the root of its scenario is switched off.',
    select: { activeAgent: { select: { isActive: true, deletedAt: true } } },
    resolve: (conversation, _args, context) => readActiveAgent(conversation, context),
  }),
);
