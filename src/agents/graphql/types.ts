import type { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import { estimatePageSize } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { includeUnder, settleNode, toNodes } from '../../graphql/selection.ts';
import {
  type LlmConfig,
  llmConfig,
  type SttConfig,
  sttConfig,
  type TtsConfig,
  ttsConfig,
  unreadableLlm,
} from '../providers/config.ts';
import { listAgents, readAgent, readCurrentAgent } from '../read.ts';

/** Which API a provider speaks, in the graph. */
export const LlmApi = builder.enumType('LlmApi', {
  description: 'The API of an OpenAI-compatible provider.',
  values: {
    RESPONSES: { description: 'The Responses API: `POST /responses`.' },
    CHAT_COMPLETIONS: {
      description: 'The Chat Completions API: `POST /chat/completions`. Most compatible providers have this one.',
    },
  } as const,
});

const apiKeyHint = {
  nullable: true,
  description:
    'The last four characters of the stored key, such as `x7Qk`. Empty if the key is too short to show any. Null if the agent has no key of its own.',
} as const;
const keyDropped = {
  description:
    'Whether the stored key was deleted because `apiUrl` changed to another origin. True until a new key is given.',
  resolve: (config: LlmConfig | TtsConfig | SttConfig) => config.keyDropped === true,
};
const options = {
  type: 'JSON',
  nullable: true,
  description:
    'Further parameters that are merged into the body of each request. Example: `{"reasoning_effort": "low"}`. Null if there are none.',
} as const;

const LlmProviderConfig = builder.objectRef<LlmConfig>('LlmProviderConfig').implement({
  description:
    'The language model of an agent. Keys are write-only: they are stored encrypted, and only their last four characters can be read.',
  fields: (t) => ({
    provider: t.exposeString('provider', {
      description:
        'The name of the provider, such as `openai`. `unreadable` if the stored configuration is invalid: turns of the agent are then a CONFLICT until it is replaced.',
    }),
    model: t.exposeString('model', { description: 'The provider’s name of the model. Example: `gpt-5-mini`.' }),
    apiUrl: t.exposeString('apiUrl', {
      nullable: true,
      description:
        'The base URL of the API, version included. Null if it is the provider’s own address, or the address of the server’s environment.',
    }),
    api: t.field({ type: LlmApi, description: 'The API that is used.', resolve: (config) => config.api }),
    completionsPath: t.exposeString('completionsPath', {
      nullable: true,
      description: 'The path of the endpoint below `apiUrl`. Null if it is the usual one.',
    }),
    apiKeyHint: t.exposeString('apiKeyHint', apiKeyHint),
    keyDropped: t.boolean(keyDropped),
    options: t.expose('options', options),
  }),
});

const TtsProviderConfig = builder.objectRef<TtsConfig>('TtsProviderConfig').implement({
  description: 'The text-to-speech provider of an agent.',
  fields: (t) => ({
    provider: t.exposeString('provider', { description: 'The name of the provider, such as `openai`.' }),
    model: t.exposeString('model', {
      nullable: true,
      description: 'The provider’s name of the model. Null if it is the provider’s default model.',
    }),
    voice: t.exposeString('voice', {
      nullable: true,
      description: 'The provider’s name of the voice. Example: `alloy`. Null if it is the provider’s default voice.',
    }),
    apiUrl: t.exposeString('apiUrl', {
      nullable: true,
      description:
        'The base URL of the API. Null if it is the provider’s own address, or the address of the server’s environment.',
    }),
    sampleRate: t.exposeInt('sampleRate', {
      nullable: true,
      description:
        'The sample rate of the audio in samples per second. Example: `24000`. Null if it is the provider’s own.',
    }),
    apiKeyHint: t.exposeString('apiKeyHint', apiKeyHint),
    keyDropped: t.boolean(keyDropped),
    options: t.expose('options', options),
  }),
});

const SttProviderConfig = builder.objectRef<SttConfig>('SttProviderConfig').implement({
  description: 'The speech-to-text provider of an agent.',
  fields: (t) => ({
    provider: t.exposeString('provider', { description: 'The name of the provider, such as `openai`.' }),
    model: t.exposeString('model', {
      nullable: true,
      description: 'The provider’s name of the model. Null if it is the provider’s default model.',
    }),
    apiUrl: t.exposeString('apiUrl', {
      nullable: true,
      description:
        'The base URL of the API. Null if it is the provider’s own address, or the address of the server’s environment.',
    }),
    path: t.exposeString('path', {
      nullable: true,
      description: 'The path of the endpoint below `apiUrl`. Null if it is the usual one.',
    }),
    language: t.exposeString('language', {
      nullable: true,
      description: 'The expected language as a BCP 47 tag. Example: `de`. Null if the provider detects it.',
    }),
    apiKeyHint: t.exposeString('apiKeyHint', apiKeyHint),
    keyDropped: t.boolean(keyDropped),
    options: t.expose('options', options),
  }),
});

/** What is read of an agent's keys: alike for all its providers, so that it comes in one statement with the agent. */
const withHints = { secrets: { select: { name: true, hint: true } } } as const;

function hintFor(kind: string, secrets: readonly { readonly name: string; readonly hint: string }[]) {
  return { apiKeyHint: secrets.find((secret) => secret.name === kind)?.hint ?? null };
}

/** @throws {ConflictError} when somebody wrote something else into the row */
function readStored<Config>(schema: z.ZodType<Config>, stored: unknown, kind: 'tts' | 'stt'): Config {
  const read = schema.safeParse(stored);
  if (read.success) return read.data;
  throw new ConflictError(`What is stored as the agent’s ${kind} is no configuration: give it a new one.`);
}

builder.prismaObjectFields(AgentRef, (t) => ({
  name: t.exposeString('name', {}),
  description: t.exposeString('description', { nullable: true }),
  instructions: t.exposeString('instructions', {}),
  isDefault: t.exposeBoolean('isDefault', {}),
  isActive: t.exposeBoolean('isActive', {}),
  isShared: t.boolean({
    description:
      'Whether the agent is shared: it belongs to the tenant and all its users can use it. False if it belongs to the viewer alone.',
    resolve: (agent) => agent.ownerId === null,
  }),
  llm: t.field({
    type: LlmProviderConfig,
    description: 'The language model: the agent’s own, or the model of the server’s environment.',
    select: withHints,
    resolve: ({ llm, secrets }, _args, context) =>
      llm === null
        ? context.agentDeps.defaults.llm.config
        : // It cannot be null, and an error would take all agents of a list with it.
          { ...(llmConfig.safeParse(llm).data ?? unreadableLlm), ...hintFor('llm', secrets) },
  }),
  tts: t.field({
    type: TtsProviderConfig,
    nullable: true,
    description:
      'The text-to-speech provider: the agent’s own, or the provider of the server’s environment. Null if there is neither.',
    select: withHints,
    resolve: ({ tts, secrets }, _args, context) =>
      tts === null
        ? (context.agentDeps.defaults.tts?.config ?? null)
        : { ...readStored(ttsConfig, tts, 'tts'), ...hintFor('tts', secrets) },
  }),
  stt: t.field({
    type: SttProviderConfig,
    nullable: true,
    description:
      'The speech-to-text provider: the agent’s own, or the provider of the server’s environment. Null if there is neither.',
    select: withHints,
    resolve: ({ stt, secrets }, _args, context) =>
      stt === null
        ? (context.agentDeps.defaults.stt?.config ?? null)
        : { ...readStored(sttConfig, stt, 'stt'), ...hintFor('stt', secrets) },
  }),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the agent was created.' }),
  updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the agent was last changed.' }),
}));

builder.nodeRef(AgentRef, {
  id: { resolve: (agent: typeof AgentRef.$inferType) => agent.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(readAgent(context.viewer, context.db, formatId('Agent', row), includeUnder(context, info, 'Agent'))),
});

builder.queryFields((t) => ({
  agents: t.connection(
    {
      type: AgentRef,
      description:
        'The agents that the viewer may use: their own and the shared ones, oldest first. 50 per page by default, at most 100.',
      args: {
        includeInactive: t.arg.boolean({
          description: 'Whether to include agents that are switched off. Default: false.',
        }),
      },
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listAgents(context.viewer, context.db, args, includeUnder(context, info, 'Agent', toNodes)),
    },
    { name: 'AgentConnection', description: 'One page of a list of agents.' },
    { name: 'AgentEdge', description: 'An agent in a list, with its cursor.' },
  ),
  agent: t.prismaField({
    type: AgentRef,
    nullable: true,
    description:
      'One agent that the viewer may use. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The agent’s id, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readAgent(context.viewer, context.db, args.id, query),
  }),
  currentAgent: t.prismaField({
    type: AgentRef,
    description:
      'The agent that answers in conversations that have neither a scenario nor an agent: the viewer’s default agent, otherwise the tenant’s default agent, otherwise the agent named `development`.',
    resolve: (query, _root, _args, context) => readCurrentAgent(context.viewer, context.db, query),
  }),
}));
