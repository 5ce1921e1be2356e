import './agents/schema.ts';
import './conversations/schema.ts';
import './conversations/settings-schema.ts';
import './runs/conversation-subscription.ts';
import './runs/schema.ts';
import './runs/subscription.ts';
import './scenarios/schema.ts';
import './tenants/schema.ts';
import './tools/schema.ts';
import { builder } from './builder.ts';

/** The whole graph: every noun has added its part by now. */
export const schema = builder.toSchema();
