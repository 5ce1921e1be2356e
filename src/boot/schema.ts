import '../agents/graphql/types.ts';
import '../agents/graphql/mutations.ts';
import '../agents/graphql/check-agent.ts';
import '../conversations/graphql/conversations.ts';
import '../conversations/graphql/settings.ts';
import '../runs/graphql/active-agent.ts';
import '../runs/graphql/conversation-subscription.ts';
import '../runs/graphql/run.ts';
import '../runs/graphql/subscription.ts';
import '../scenarios/graphql/mutations.ts';
import '../scenarios/graphql/types.ts';
import '../speech/graphql/speech.ts';
import '../tenants/graphql/viewer.ts';
import '../tools/graphql/mutations.ts';
import '../tools/graphql/queries.ts';
import { builder } from '../graphql/builder.ts';

/** The whole graph: the imports above have added the part of every noun. */
export const schema = builder.toSchema();
