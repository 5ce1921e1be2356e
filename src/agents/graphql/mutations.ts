import { builder } from '../../graphql/builder.ts';
import { AgentRef, GuardrailInputRef } from '../../graphql/refs.ts';
import { testAgent } from '../check/check-agent.ts';
import { setDefaultAgent } from '../default.ts';
import { createAgent, deleteAgent, updateAgent } from '../write.ts';
import { AgentTestResult, LlmApi } from './types.ts';

const apiKeyDescription =
  'The API key, at most 4,096 characters. It is stored encrypted, sent only to the origin of `apiUrl`, and can never be read back. If omitted or null, the stored key stays, unless `apiUrl` changes to another origin. An empty string removes the key.';
const optionsDescription =
  'A JSON object of further parameters that is merged into the body of the request, at most 16 KB. Example: `{"reasoning_effort": "low"}`. Keys, headers and parameters that the server sets (`model`, `messages`, `stream`, `tools`, …) are refused.';
const apiUrlDescription =
  'The base URL of the API, version included. Example: `https://api.groq.com/openai/v1`. If omitted, the provider’s own address. Private addresses work only if the operator lists them in MODEL_ALLOWED_HOSTS, with their path.';

const LlmProviderConfigInput = builder.inputType('LlmProviderConfigInput', {
  description: 'The language model of an agent. It replaces the whole stored configuration, except the key.',
  fields: (t) => ({
    provider: t.string({
      required: true,
      description:
        'One of `openai`, `azure-openai`, `groq`, `openrouter`, `ollama`, `vllm`, `custom` (any compatible API) or `demo` (the model of the server’s environment).',
    }),
    model: t.string({
      required: true,
      description: 'The provider’s name of the model, 1 to 200 characters. Example: `gpt-5-mini`.',
    }),
    apiUrl: t.string({ description: apiUrlDescription }),
    api: t.field({
      type: LlmApi,
      description: 'The API to use. If omitted, `RESPONSES` for `openai` and `CHAT_COMPLETIONS` for the others.',
    }),
    completionsPath: t.string({
      description:
        'The path of the endpoint below `apiUrl`. Example: `/v2/chat`. If omitted, `/responses` or `/chat/completions`, according to `api`.',
    }),
    contextTokens: t.int({
      description:
        'The context window of the model in tokens, 1,024 to 10,000,000: older parts of a conversation are cut to fit. If omitted, the window of a well-known model, otherwise 32,000.',
    }),
    apiKey: t.string({ description: apiKeyDescription }),
    options: t.field({ type: 'JSON', description: optionsDescription }),
  }),
});

const TtsProviderConfigInput = builder.inputType('TtsProviderConfigInput', {
  description: 'The text-to-speech provider of an agent. It replaces the whole stored configuration, except the key.',
  fields: (t) => ({
    provider: t.string({
      required: true,
      description: 'One of `openai`, `azure-openai`, `groq`, `custom` (any compatible API) or `demo`.',
    }),
    model: t.string({
      description:
        'The provider’s name of the model, 1 to 200 characters. If omitted, the server’s own model with the key of the server, otherwise the provider’s default model.',
    }),
    voice: t.string({
      description:
        'The provider’s name of the voice, 1 to 200 characters. Example: `alloy`. If omitted, the provider’s default voice.',
    }),
    apiUrl: t.string({ description: apiUrlDescription }),
    sampleRate: t.int({
      description:
        'The sample rate of the audio in samples per second, 8,000 to 192,000. Example: `24000`. If omitted, the provider’s own.',
    }),
    apiKey: t.string({ description: apiKeyDescription }),
    options: t.field({ type: 'JSON', description: optionsDescription }),
  }),
});

const SttProviderConfigInput = builder.inputType('SttProviderConfigInput', {
  description: 'The speech-to-text provider of an agent. It replaces the whole stored configuration, except the key.',
  fields: (t) => ({
    provider: t.string({
      required: true,
      description:
        'One of `openai`, `azure-openai`, `groq`, `custom` (any compatible API), `whisper-live` (a streaming WebSocket server) or `demo`.',
    }),
    model: t.string({
      description:
        'The provider’s name of the model, 1 to 200 characters. If omitted, the server’s own model with the key of the server, otherwise the provider’s default model.',
    }),
    apiUrl: t.string({ description: `${apiUrlDescription} Streaming providers have ws:// or wss:// addresses.` }),
    path: t.string({
      description:
        'The path of the endpoint below `apiUrl`. If omitted, the provider’s usual path, such as `/audio/transcriptions`.',
    }),
    language: t.string({
      description: 'The spoken language as a BCP 47 tag. Example: `de`. If omitted, the provider detects it.',
    }),
    apiKey: t.string({ description: apiKeyDescription }),
    options: t.field({ type: 'JSON', description: optionsDescription }),
  }),
});

const CreateAgentInput = builder.inputType('CreateAgentInput', {
  description: 'The properties of a new agent.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description:
        'A short name, 1 to 255 characters. Example: `billing`. The names of shared agents are unique in the tenant.',
    }),
    description: t.string({
      description:
        'What the agent is for, in one sentence of 1 to 2,000 characters. Example: `Answers questions about invoices`. Other agents read it to decide whether to hand off.',
    }),
    instructions: t.string({ required: true, description: 'The system prompt, 1 to 100,000 characters.' }),
    llm: t.field({
      type: LlmProviderConfigInput,
      description: 'The language model. If omitted, the model of the server’s environment.',
    }),
    tts: t.field({
      type: TtsProviderConfigInput,
      description: 'The text-to-speech provider. If omitted, the provider of the server’s environment, if it has one.',
    }),
    stt: t.field({
      type: SttProviderConfigInput,
      description: 'The speech-to-text provider. If omitted, the provider of the server’s environment, if it has one.',
    }),
    tools: t.stringList({
      description:
        'The names of the tools that the agent may use, at most 100. Example: `["current_time", "lookup_order"]`. If omitted, none.',
    }),
    knowledgeBaseIds: t.idList({
      description:
        'The knowledge bases that the agent searches with its tool `search_knowledge`, at most 50. Without that tool in `tools`, nothing is searched. If omitted, those of the conversation’s project, otherwise those of the tenant that belong to no project.',
    }),
    guardrails: t.field({
      type: [GuardrailInputRef],
      description:
        'The guardrails of the agent, at most 20, with names that differ. They run beside those of the scenario. If omitted, none.',
    }),
    outputSchema: t.field({
      type: 'JSON',
      description:
        'The JSON Schema (2020-12) of the agent’s answers, with "type": "object" at its root, at most 65,536 characters and 40 levels deep. Each answer is checked against it, corrected once by the model, and stored as `Message.data` beside its text; one that still does not fit makes the run fail. If omitted, the answers of the agent are any text.',
    }),
    isDefault: t.boolean({
      description: 'Whether the agent also becomes the default agent, as with `setDefaultAgent`. Default: false.',
    }),
    isActive: t.boolean({ description: 'Whether the agent can be chosen and can receive handoffs. Default: true.' }),
    isShared: t.boolean({
      description:
        'Whether the agent is shared: it belongs to the tenant and all its users can use it. Only admins may create shared agents. Default: false.',
    }),
    projectId: t.id({
      description:
        'The id or the key of a project, such as `web-shop`: the agent belongs to its members and answers only in its conversations. The viewer needs the role EDITOR in it. If omitted, the agent belongs to no project. It never changes.',
    }),
  }),
});

const UpdateAgentInput = builder.inputType('UpdateAgentInput', {
  description: 'The changes to an agent. Omitted fields stay as they are.',
  fields: (t) => ({
    name: t.string({ description: 'The new name, 1 to 255 characters.' }),
    description: t.string({ description: 'The new description, 1 to 2,000 characters. Null removes it.' }),
    instructions: t.string({ description: 'The system prompt, 1 to 100,000 characters.' }),
    llm: t.field({
      type: LlmProviderConfigInput,
      description: 'The language model. Null returns to the model of the server’s environment.',
    }),
    tts: t.field({
      type: TtsProviderConfigInput,
      description: 'The text-to-speech provider. Null returns to the provider of the server’s environment.',
    }),
    stt: t.field({
      type: SttProviderConfigInput,
      description: 'The speech-to-text provider. Null returns to the provider of the server’s environment.',
    }),
    tools: t.stringList({
      description:
        'The names of all tools that the agent may use, at most 100. Names from `toolNames` are accepted even if the tool is unavailable at the moment. Null removes all tools.',
    }),
    knowledgeBaseIds: t.idList({
      description:
        'All knowledge bases that the agent searches with its tool `search_knowledge`, at most 50. Without that tool in its tools, nothing is searched. Null or an empty list: those of the conversation’s project, otherwise those of the tenant that belong to no project.',
    }),
    guardrails: t.field({
      type: [GuardrailInputRef],
      description: 'All guardrails of the agent, at most 20, with names that differ. Null removes all of them.',
    }),
    outputSchema: t.field({
      type: 'JSON',
      description:
        'The JSON Schema (2020-12) of the agent’s answers, as in `createAgent`. Null: its answers are any text from now on.',
    }),
    isActive: t.boolean({
      description:
        'Whether the agent can be chosen and can receive handoffs. A default agent that is switched off stops being the default.',
    }),
  }),
});

builder.mutationFields((t) => ({
  createAgent: t.prismaField({
    type: AgentRef,
    description:
      'Creates an agent of the viewer, of a project if `projectId` is given, or of the tenant if `isShared` is true (admins only). Limited by RATE_LIMIT_AGENT_OPERATIONS.',
    args: { input: t.arg({ type: CreateAgentInput, required: true, description: 'The properties of the agent.' }) },
    resolve: (query, _root, args, context) => createAgent(context.viewer, context.agentDeps, args.input, query),
  }),
  updateAgent: t.prismaField({
    type: AgentRef,
    description:
      'Changes an agent. The change applies to turns that start afterwards; running turns keep the agent as it was when they started.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The agent’s id, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      input: t.arg({ type: UpdateAgentInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateAgent(context.viewer, context.agentDeps, args.id, args.input, query),
  }),
  deleteAgent: t.id({
    description:
      'Deletes an agent and its keys, and returns its id. CONFLICT if a scenario uses the agent. Its messages stay readable, and conversations in which it was the active agent continue with the default agent.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The agent’s id, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => deleteAgent(context.viewer, context.agentDeps, args.id),
  }),
  setDefaultAgent: t.prismaField({
    type: AgentRef,
    description:
      'Makes an agent the default: it answers in conversations that have neither a scenario nor an agent. An agent of your own becomes your default. A shared agent becomes the tenant’s default (admins only).',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The agent’s id, such as `agt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => setDefaultAgent(context.viewer, context.agentDeps, args.id, query),
  }),
  testAgent: t.field({
    type: AgentTestResult,
    description:
      'Sends one prompt to the agent’s provider, with the agent’s instructions, and returns the outcome. No tool is run; if the agent has tools, one test tool is offered, to see whether the model accepts tools. The text of the provider’s own error is not included. Limited by RATE_LIMIT_AGENT_TESTS.',
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
    resolve: (_root, args, context) =>
      testAgent(context.viewer, context.agentDeps, args.id, args.prompt, context.signal),
  }),
}));
