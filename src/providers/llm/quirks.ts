import type { ModelEndpoint } from '../../engine/ports.ts';
import { isOpenAiHost } from '../../outbound/allowed-hosts.ts';

/** Which ids of tool calls a provider takes back. */
export type CallIdStyle =
  /** `^[A-Za-z0-9_-]{1,40}$`: OpenAI, Azure, Anthropic, Bedrock. */
  | 'plain'
  /** Exactly nine letters or digits: Mistral. */
  | 'nine'
  /** Any visible ASCII, and its own ids exactly as it wrote them, e.g. Kimi's `functions.name:0`. */
  | 'any';

/** What is special about a provider, as far as requests have to know. */
export interface Quirks {
  /** Whether it takes a history as it is: system messages anywhere, several messages of one role in a row. */
  readonly isLenient: boolean;
  readonly callIds: CallIdStyle;
  /** Whether every replayed tool call needs a thought signature (Gemini 3 and later). */
  readonly needsSignature: boolean;
  /** Whether every replayed step with tool calls needs its `reasoning_content` (DeepSeek). */
  readonly needsReasoning: boolean;
  /** Whether encrypted reasoning has to be asked for (OpenAI's reasoning models; the others refuse to be asked). */
  readonly encryptsReasoning: boolean;
}

const mistralModel = /(^|[/:.-])(mistral|mixtral|ministral|codestral|devstral|magistral|pixtral|voxtral)/i;
const anthropicModel = /(^|[/:.-])(claude|anthropic)/i;
const geminiModel = /(^|[/:.-])gemini-([3-9]|\d\d)/i;
const openaiReasoningModel = /^(o[1-9]|gpt-[5-9]|codex)/i;

/** What is special about the provider of an endpoint, by its host and by the name of its model. */
export function findQuirks({ apiUrl, model }: Pick<ModelEndpoint, 'apiUrl' | 'model'>): Quirks {
  const host = URL.parse(apiUrl)?.hostname ?? '';
  const isAt = (domain: string) => host === domain || host.endsWith(`.${domain}`);
  const isOpenAi = isOpenAiHost(apiUrl);
  return {
    isLenient: isOpenAi,
    callIds:
      isAt('mistral.ai') || mistralModel.test(model)
        ? 'nine'
        : isOpenAi || isAt('anthropic.com') || anthropicModel.test(model)
          ? 'plain'
          : 'any',
    needsSignature: geminiModel.test(model) && (isAt('googleapis.com') || !isAt('openrouter.ai')),
    needsReasoning: isAt('deepseek.com'),
    encryptsReasoning: isOpenAi && openaiReasoningModel.test(model),
  };
}
