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
  description: 'Which of the two APIs of OpenAI-compatible providers is spoken.',
  values: {
    RESPONSES: { description: 'POST /responses.' },
    CHAT_COMPLETIONS: { description: 'POST /chat/completions: what most compatible providers have.' },
  } as const,
});

const apiKeyHint = {
  nullable: true,
  description:
    'The last four characters of its key; empty where it is too short to show any. Null: it has no key of its own.',
} as const;
const keyDropped = {
  description:
    'Whether its key was dropped because apiUrl moved to another host: it has to be given one again. Says so until it is.',
  resolve: (config: LlmConfig | TtsConfig | SttConfig) => config.keyDropped === true,
};
const options = { type: 'JSON', nullable: true, description: 'What else is sent to the provider.' } as const;

const LlmProviderConfig = builder.objectRef<LlmConfig>('LlmProviderConfig').implement({
  description:
    'Which model answers for an agent. Keys are write-only: they are encrypted at rest, and only the last four characters are ever read back.',
  fields: (t) => ({
    provider: t.exposeString('provider', {
      description:
        'The provider’s name, for people. `unreadable`: what is stored is no configuration, and turns of the agent are a CONFLICT until it is given one.',
    }),
    model: t.exposeString('model', { description: 'The model’s name at the provider.' }),
    apiUrl: t.exposeString('apiUrl', {
      nullable: true,
      description: 'The base URL of its API, with the version. Null: the provider’s own.',
    }),
    api: t.field({ type: LlmApi, description: 'Which API it speaks.', resolve: (config) => config.api }),
    completionsPath: t.exposeString('completionsPath', {
      nullable: true,
      description: 'The path under apiUrl, where it is not the usual one.',
    }),
    apiKeyHint: t.exposeString('apiKeyHint', apiKeyHint),
    keyDropped: t.boolean(keyDropped),
    options: t.expose('options', options),
  }),
});

const TtsProviderConfig = builder.objectRef<TtsConfig>('TtsProviderConfig').implement({
  description: 'What speaks for an agent: text to speech.',
  fields: (t) => ({
    provider: t.exposeString('provider', { description: 'The provider’s name, for people.' }),
    model: t.exposeString('model', { nullable: true, description: 'The model’s name at the provider.' }),
    voice: t.exposeString('voice', { nullable: true, description: 'The voice.' }),
    apiUrl: t.exposeString('apiUrl', { nullable: true, description: 'The base URL of its API.' }),
    sampleRate: t.exposeInt('sampleRate', { nullable: true, description: 'Samples per second of the audio.' }),
    apiKeyHint: t.exposeString('apiKeyHint', apiKeyHint),
    keyDropped: t.boolean(keyDropped),
    options: t.expose('options', options),
  }),
});

const SttProviderConfig = builder.objectRef<SttConfig>('SttProviderConfig').implement({
  description: 'What listens for an agent: speech to text.',
  fields: (t) => ({
    provider: t.exposeString('provider', { description: 'The provider’s name, for people.' }),
    model: t.exposeString('model', { nullable: true, description: 'The model’s name at the provider.' }),
    apiUrl: t.exposeString('apiUrl', { nullable: true, description: 'The base URL of its API.' }),
    path: t.exposeString('path', {
      nullable: true,
      description: 'The path under apiUrl, where it is not the usual one.',
    }),
    language: t.exposeString('language', { nullable: true, description: 'The language that it expects, as BCP 47.' }),
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
    description: 'Whether it is the tenant’s, for all its users, and not one user’s own.',
    resolve: (agent) => agent.ownerId === null,
  }),
  llm: t.field({
    type: LlmProviderConfig,
    description: 'Which model answers for it: its own configuration, or else the environment’s.',
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
    description: 'What speaks for it: its own configuration, or else the environment’s. Null: it does not speak.',
    select: withHints,
    resolve: ({ tts, secrets }, _args, context) =>
      tts === null
        ? (context.agentDeps.defaults.tts?.config ?? null)
        : { ...readStored(ttsConfig, tts, 'tts'), ...hintFor('tts', secrets) },
  }),
  stt: t.field({
    type: SttProviderConfig,
    nullable: true,
    description: 'What listens for it: its own configuration, or else the environment’s. Null: it does not listen.',
    select: withHints,
    resolve: ({ stt, secrets }, _args, context) =>
      stt === null
        ? (context.agentDeps.defaults.stt?.config ?? null)
        : { ...readStored(sttConfig, stt, 'stt'), ...hintFor('stt', secrets) },
  }),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
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
      description: 'The agents that the viewer may use, their own and the tenant’s, oldest first.',
      args: {
        includeInactive: t.arg.boolean({ description: 'Whether to list those that are switched off as well.' }),
      },
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listAgents(context.viewer, context.db, args, includeUnder(context, info, 'Agent', toNodes)),
    },
    { name: 'AgentConnection', description: 'A page of agents.' },
    { name: 'AgentEdge', description: 'An agent in a page.' },
  ),
  agent: t.prismaField({
    type: AgentRef,
    nullable: true,
    description: 'An agent that the viewer may use.',
    args: { id: t.arg.id({ required: true, description: 'The agent’s id, agt_….' }) },
    resolve: (query, _root, args, context) => readAgent(context.viewer, context.db, args.id, query),
  }),
  currentAgent: t.prismaField({
    type: AgentRef,
    description:
      'Who answers where nothing else was chosen: the viewer’s default agent, else the tenant’s, else the development agent.',
    resolve: (query, _root, _args, context) => readCurrentAgent(context.viewer, context.db, query),
  }),
}));
