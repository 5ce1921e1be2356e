import './agents/schema.ts';
import './agents/write-schema.ts';
import './agents/test-schema.ts';
import './conversations/schema.ts';
import './conversations/settings-schema.ts';
import './runs/active-agent-schema.ts';
import './runs/conversation-subscription.ts';
import './runs/schema.ts';
import './runs/subscription.ts';
import './scenarios/mutation-schema.ts';
import './scenarios/schema.ts';
import './speech/schema.ts';
import './tenants/schema.ts';
import './tools/execute-schema.ts';
import './tools/http-tools-schema.ts';
import './tools/mcp-servers-schema.ts';
import './tools/schema.ts';
import { builder } from './builder.ts';

/** The whole graph: every noun has added its part by now. */
export const schema = builder.toSchema();
