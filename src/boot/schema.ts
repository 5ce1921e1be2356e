import '../agents/graphql/mutations.ts';
import '../agents/graphql/queries.ts';
import '../agents/graphql/types.ts';
import '../context/graphql/snapshots.ts';
import '../conversations/graphql/mutations.ts';
import '../conversations/graphql/plain-reads.ts';
import '../conversations/graphql/queries.ts';
import '../guardrails/graphql/inputs.ts';
import '../guardrails/graphql/mutations.ts';
import '../guardrails/graphql/types.ts';
import '../orchestration/graphql/mutations.ts';
import '../runs/graphql/active-agent.ts';
import '../runs/graphql/contents.ts';
import '../runs/graphql/conversation-subscription.ts';
import '../runs/graphql/run.ts';
import '../runs/graphql/subscription.ts';
import '../scenarios/graphql/mutations.ts';
import '../scenarios/graphql/queries.ts';
import '../speech/graphql/mutations.ts';
import '../tenants/graphql/queries.ts';
import '../tenants/graphql/types.ts';
import '../tools/graphql/mutations.ts';
import '../tools/graphql/queries.ts';
import { meterAnswers } from '../graphql/answer-meter.ts';
import { builder } from '../graphql/builder.ts';

/** The whole graph: the imports above have added the part of every noun. */
export const schema = meterAnswers(builder.toSchema());
