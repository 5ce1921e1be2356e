import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { setDefaultAgent } from '../default.ts';
import { createAgent, deleteAgent, updateAgent } from '../write.ts';
import { LlmApi } from './types.ts';

const apiKeyDescription =
  'Its key. It is encrypted, sent to the host of apiUrl and to no other, and never shown again. Absent or null: the stored one stays, unless apiUrl moves to another host. Empty: none.';
const optionsDescription =
  'A JSON object, at most 16 KB, of what else is sent to the provider. It cannot hold keys, nor what the server decides.';
const apiUrlDescription =
  'The base URL of its API, with the version. Absent: the provider’s own. Private addresses have to be allowed by the operator.';

const LlmProviderConfigInput = builder.inputType('LlmProviderConfigInput', {
  description: 'Which model answers for an agent. It takes the place of the whole configuration, but for the key.',
  fields: (t) => ({
    provider: t.string({
      required: true,
      description: 'openai, azure-openai, groq, ollama, vllm, openrouter, custom for anything compatible, or demo.',
    }),
    model: t.string({ required: true, description: 'The model’s name at the provider: 1 to 200 characters.' }),
    apiUrl: t.string({ description: apiUrlDescription }),
    api: t.field({ type: LlmApi, description: 'Which API it speaks. Absent: the provider’s usual one.' }),
    completionsPath: t.string({ description: 'The path under apiUrl, where it is not the usual one of the API.' }),
    apiKey: t.string({ description: apiKeyDescription }),
    options: t.field({ type: 'JSON', description: optionsDescription }),
  }),
});

const TtsProviderConfigInput = builder.inputType('TtsProviderConfigInput', {
  description: 'What speaks for an agent. It takes the place of the whole configuration, but for the key.',
  fields: (t) => ({
    provider: t.string({
      required: true,
      description: 'openai, azure-openai, groq, custom for anything compatible, or demo.',
    }),
    model: t.string({ description: 'The model’s name at the provider: 1 to 200 characters. Absent: its usual one.' }),
    voice: t.string({ description: 'The voice: 1 to 200 characters. Absent: the provider’s usual one.' }),
    apiUrl: t.string({ description: apiUrlDescription }),
    sampleRate: t.int({ description: 'Samples per second, 8,000 to 192,000. Absent: the provider’s own.' }),
    apiKey: t.string({ description: apiKeyDescription }),
    options: t.field({ type: 'JSON', description: optionsDescription }),
  }),
});

const SttProviderConfigInput = builder.inputType('SttProviderConfigInput', {
  description: 'What listens for an agent. It takes the place of the whole configuration, but for the key.',
  fields: (t) => ({
    provider: t.string({
      required: true,
      description:
        'openai, azure-openai, groq, custom for anything compatible, whisper-live for a streaming WebSocket, or demo.',
    }),
    model: t.string({ description: 'The model’s name at the provider: 1 to 200 characters. Absent: its usual one.' }),
    apiUrl: t.string({ description: `${apiUrlDescription} ws:// and wss:// where it streams.` }),
    path: t.string({ description: 'The path under apiUrl, where it is not the usual one.' }),
    language: t.string({ description: 'The language that is spoken, as BCP 47. Absent: the provider finds out.' }),
    apiKey: t.string({ description: apiKeyDescription }),
    options: t.field({ type: 'JSON', description: optionsDescription }),
  }),
});

const CreateAgentInput = builder.inputType('CreateAgentInput', {
  description: 'A new agent.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: '1 to 255 characters; unique among the tenant’s shared agents, where it is one.',
    }),
    description: t.string({ description: 'What it is for, in a sentence: 1 to 2,000 characters.' }),
    instructions: t.string({ required: true, description: 'The system prompt: 1 to 100,000 characters.' }),
    llm: t.field({ type: LlmProviderConfigInput, description: 'Which model answers. Absent: the environment’s.' }),
    tts: t.field({ type: TtsProviderConfigInput, description: 'What speaks. Absent: the environment’s, if any.' }),
    stt: t.field({ type: SttProviderConfigInput, description: 'What listens. Absent: the environment’s, if any.' }),
    tools: t.stringList({ description: 'Names of the tools that it may use, at most 100.' }),
    isDefault: t.boolean({ description: 'Whether to make it the default at once, as setDefaultAgent does.' }),
    isActive: t.boolean({ description: 'Whether it can be chosen and handed to. Absent: yes.' }),
    isShared: t.boolean({ description: 'Whether it is to be the tenant’s, for all its users: for admins only.' }),
  }),
});

const UpdateAgentInput = builder.inputType('UpdateAgentInput', {
  description: 'What to change of an agent. What is absent stays.',
  fields: (t) => ({
    name: t.string({ description: '1 to 255 characters.' }),
    description: t.string({ description: '1 to 2,000 characters. Null: none.' }),
    instructions: t.string({ description: 'The system prompt: 1 to 100,000 characters.' }),
    llm: t.field({ type: LlmProviderConfigInput, description: 'Which model answers. Null: the environment’s again.' }),
    tts: t.field({ type: TtsProviderConfigInput, description: 'What speaks. Null: the environment’s again, if any.' }),
    stt: t.field({ type: SttProviderConfigInput, description: 'What listens. Null: the environment’s again, if any.' }),
    tools: t.stringList({
      description:
        'Names of the tools that it may use, at most 100; those that it has (toolNames) may stay while they are out of reach. Null: none.',
    }),
    isActive: t.boolean({
      description: 'Whether it can be chosen and handed to. An agent that is switched off is the default no longer.',
    }),
  }),
});

builder.mutationFields((t) => ({
  createAgent: t.prismaField({
    type: AgentRef,
    description: 'Makes an agent: the viewer’s own, or with isShared one of the tenant.',
    args: { input: t.arg({ type: CreateAgentInput, required: true, description: 'What it is like.' }) },
    resolve: (query, _root, args, context) => createAgent(context.viewer, context.agentDeps, args.input, query),
  }),
  updateAgent: t.prismaField({
    type: AgentRef,
    description: 'Changes an agent, from the next turn on; turns that are running keep what they began with.',
    args: {
      id: t.arg.id({ required: true, description: 'The agent’s id, agt_….' }),
      input: t.arg({ type: UpdateAgentInput, required: true, description: 'What to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateAgent(context.viewer, context.agentDeps, args.id, args.input, query),
  }),
  deleteAgent: t.id({
    description:
      'Deletes an agent and its keys. CONFLICT where scenarios use it. What it has said stays readable, and conversations in which it had the floor go on with the default agent.',
    args: { id: t.arg.id({ required: true, description: 'The agent’s id, agt_….' }) },
    resolve: (_root, args, context) => deleteAgent(context.viewer, context.agentDeps, args.id),
  }),
  setDefaultAgent: t.prismaField({
    type: AgentRef,
    description:
      'Makes an agent the one that answers where nothing else was chosen: an own one for the viewer, a shared one, by an admin, for the tenant.',
    args: { id: t.arg.id({ required: true, description: 'The agent’s id, agt_….' }) },
    resolve: (query, _root, args, context) => setDefaultAgent(context.viewer, context.agentDeps, args.id, query),
  }),
}));
