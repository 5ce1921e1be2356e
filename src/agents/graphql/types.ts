import type { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { Agent } from '../../generated/prisma/client.ts';
import { builder } from '../../graphql/builder.ts';
import type { Context } from '../../graphql/context.ts';
import { isForeign, loadProject } from '../../graphql/load-project.ts';
import { AgentRef, GuardrailRef, ProjectRef, RunErrorRef, UsageRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { readGuardrails } from '../../guardrails/config.ts';
import type { AgentTest } from '../check/check-agent.ts';
import { isOfAnotherUser } from '../hide-foreign.ts';
import {
  type LlmConfig,
  llmConfig,
  type SttConfig,
  sttConfig,
  type TtsConfig,
  ttsConfig,
  unreadableLlm,
} from '../providers/config.ts';
import { readAgent } from '../read.ts';

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
    contextTokens: t.exposeInt('contextTokens', {
      nullable: true,
      description:
        'The context window of the model in tokens: older parts of a conversation are cut to fit. If null, the window of a well-known model, otherwise 32,000.',
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

/**
 * What is read of an agent's keys: alike for all its providers, so that it comes in one statement with the agent. That reads
 * the agent again: what was hidden of an agent of another user or project is not hidden there, so that each provider asks itself.
 */
const withHints = { secrets: { select: { name: true, hint: true } } } as const;

/** Whether the viewer sees an agent's name alone: see hideForeign. */
async function isHidden(context: Context, agent: Pick<Agent, 'ownerId' | 'projectId'>): Promise<boolean> {
  return isOfAnotherUser(context.viewer, agent) || isForeign(context, agent);
}

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
      'Whether the agent is shared: it belongs to the tenant and all its users can use it or, with `project`, to the project and its members. False if it belongs to the viewer alone.',
    resolve: (agent) => agent.ownerId === null,
  }),
  project: t.field({
    type: ProjectRef,
    nullable: true,
    description:
      'The project to whose members the agent belongs: only they see it, and it answers only in conversations of the project. Null if it belongs to none, or to one of which the viewer is not a member.',
    resolve: (agent, _args, context) => loadProject(context, agent),
  }),
  llm: t.field({
    type: LlmProviderConfig,
    description: 'The language model: the agent’s own, or the model of the server’s environment.',
    select: withHints,
    resolve: async ({ llm, secrets, ...agent }, _args, context) =>
      llm === null || (await isHidden(context, agent))
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
    resolve: async ({ tts, secrets, ...agent }, _args, context) =>
      tts === null || (await isHidden(context, agent))
        ? (context.agentDeps.defaults.tts?.config ?? null)
        : { ...readStored(ttsConfig, tts, 'tts'), ...hintFor('tts', secrets) },
  }),
  stt: t.field({
    type: SttProviderConfig,
    nullable: true,
    description:
      'The speech-to-text provider: the agent’s own, or the provider of the server’s environment. Null if there is neither.',
    select: withHints,
    resolve: async ({ stt, secrets, ...agent }, _args, context) =>
      stt === null || (await isHidden(context, agent))
        ? (context.agentDeps.defaults.stt?.config ?? null)
        : { ...readStored(sttConfig, stt, 'stt'), ...hintFor('stt', secrets) },
  }),
  guardrails: t.field({
    type: [GuardrailRef],
    description: 'The guardrails of the agent, in their order. Those of its scenario come before them.',
    resolve: ({ guardrails }) => [...readGuardrails(guardrails)],
  }),
  outputSchema: t.field({
    type: 'JSON',
    nullable: true,
    description:
      'The JSON Schema (2020-12) of the agent’s answers, which are then stored as `Message.data` as well. Null: its answers are any text.',
    resolve: ({ outputSchema }) => outputSchema,
  }),
  createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the agent was created.' }),
  updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the agent was last changed.' }),
}));

builder.nodeRef(AgentRef, {
  id: { resolve: (agent: typeof AgentRef.$inferType) => agent.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(readAgent(context.viewer, context.db, formatId('Agent', row), includeUnder(context, info, 'Agent'))),
});

const AgentTestProblem = builder.enumType('AgentTestProblem', {
  description: 'The cause of a failed `testAgent`, as far as the provider’s failure reveals it.',
  values: {
    INVALID_KEY: { description: 'The provider rejected the API key, or the key does not give access to this model.' },
    UNKNOWN_MODEL: { description: 'The provider does not have this model.' },
    UNREACHABLE: {
      description: 'No connection to the address: check the host name, the port, the network and the certificate.',
    },
    TIMEOUT: {
      description: 'The provider stopped sending, or did not finish within AGENT_TEST_TIMEOUT_SECONDS (default 30).',
    },
    ADDRESS_NOT_ALLOWED: {
      description:
        'The address is private and the operator has not listed it in MODEL_ALLOWED_HOSTS. No request was sent.',
    },
    RATE_LIMITED: { description: 'The provider received too many requests, or the quota of the account is used up.' },
    REFUSED: { description: 'The model, or its provider’s content filter, refused this prompt.' },
    BAD_ANSWER: {
      description: 'The response is not of the expected API: check `apiUrl`, `completionsPath` and `api`.',
    },
    OTHER: { description: 'Any other failure. `error.message` describes it.' },
  } as const,
});

/** The result of testAgent, in the graph. */
export const AgentTestResult = builder.objectRef<AgentTest>('AgentTestResult').implement({
  description: 'The outcome of one prompt that was sent to an agent’s provider.',
  fields: (t) => ({
    ok: t.exposeBoolean('ok', { description: 'Whether the model finished its answer.' }),
    output: t.exposeString('output', {
      nullable: true,
      description:
        'The text that the model wrote, at most 10,000 characters. If the call failed, the text up to the failure. Null if it wrote nothing.',
    }),
    error: t.expose('error', {
      type: RunErrorRef,
      nullable: true,
      description: 'The error with which a turn would have ended. Null if the call succeeded.',
    }),
    problem: t.expose('problem', {
      type: AgentTestProblem,
      nullable: true,
      description: 'What to check first. Null if the call succeeded.',
    }),
    latencyMs: t.exposeInt('latencyMs', { description: 'The duration of the whole call, in milliseconds.' }),
    timeToFirstTokenMs: t.exposeInt('timeToFirstTokenMs', {
      nullable: true,
      description: 'The time until the first token arrived, reasoning included, in milliseconds. Null if none arrived.',
    }),
    usage: t.expose('usage', {
      type: UsageRef,
      description: 'The tokens that the call used. They are included in `viewer.usage`.',
    }),
  }),
});
