import type { Failure, ModelProblem } from '../../engine/ports.ts';
import { isContextOverflow } from './context-overflow.ts';
import type { ProviderErrorBody } from './error-body.ts';

/** What providers call a refusal by policy. Azure, OpenAI and the Responses API each have their own code. */
const refusalCodes: ReadonlySet<string> = new Set([
  'content_filter',
  'content_policy_violation',
  'responsible_ai_policy_violation',
  'moderation_blocked',
  'cyber_policy_violation',
]);

export const refused: Failure = {
  code: 'MODEL_REFUSED',
  message: 'The model refused to answer this.',
  retryable: false,
};
export const timedOut: Failure = {
  code: 'MODEL_TIMEOUT',
  message: 'The model took too long to answer.',
  retryable: true,
};
const tooLong: Failure = {
  code: 'CONTEXT_TOO_LONG',
  message:
    'The conversation is too long for the model: start a new one, or have the agent use a model with a larger context.',
  retryable: false,
};

/** What providers call a model that they do not have. */
const unknownModelCodes: ReadonlySet<string> = new Set([
  'model_not_found',
  'DeploymentNotFound',
  'unknown_model',
  'invalid_model',
]);

/** A failure, and what to check in the agent's configuration. */
export interface DescribedFailure {
  readonly failure: Failure;
  readonly problem: ModelProblem;
}

/** What an HTTP status and the body that came with it mean. */
export function failureOfStatus(status: number, body: ProviderErrorBody): DescribedFailure {
  if (refusalCodes.has(body.code)) return { failure: refused, problem: 'REFUSED' };
  if (body.code === 'insufficient_quota') {
    const message = 'The quota at the model provider is used up.';
    return { failure: { code: 'RATE_LIMITED', message, retryable: false }, problem: 'RATE_LIMITED' };
  }
  // Groq answers 413 to a request that is larger than what may be sent in a minute.
  if (status === 429 || body.code === 'rate_limit_exceeded') {
    const message = 'The model provider is busy: try again in a moment.';
    return { failure: { code: 'RATE_LIMITED', message, retryable: true }, problem: 'RATE_LIMITED' };
  }
  const isAboutAccount = status === 401 || status === 402 || status === 403;
  if (status === 413 || (!isAboutAccount && isContextOverflow(body))) return { failure: tooLong, problem: 'OTHER' };
  if (status === 408 || status === 504) return { failure: timedOut, problem: 'TIMEOUT' };
  const retryable = status === 409 || status === 425 || status >= 500;
  const [message, problem] = describeStatus(status, body);
  return { failure: { code: 'MODEL_ERROR', message, retryable }, problem };
}

function describeStatus(status: number, body: ProviderErrorBody): readonly [message: string, problem: ModelProblem] {
  if (body.param === 'temperature') return ['The model does not accept this temperature.', 'OTHER'];
  if (isAboutTools(status, body)) {
    return ['The model cannot use tools: give the agent a model that can, or remove its tools.', 'OTHER'];
  }
  if (isAboutModel(status, body)) {
    return ['The model provider does not know this model: check its name.', 'UNKNOWN_MODEL'];
  }
  if (status === 401 || isAboutKey(status, body)) {
    return ['The model provider does not accept the API key.', 'INVALID_KEY'];
  }
  if (status === 402) return ['The model provider requires payment (402): add credit to its account.', 'OTHER'];
  if (status === 403) return ['The API key may not use this model.', 'INVALID_KEY'];
  if (status === 404 || status === 405) {
    return [
      'The model provider has no such endpoint: check its API URL, which usually ends in /v1, and its path.',
      'BAD_ANSWER',
    ];
  }
  if (status >= 300 && status < 400) {
    return ['The model provider redirects to another address: check its API URL.', 'OTHER'];
  }
  if (status >= 500) return [`The model provider failed (status ${status}).`, 'OTHER'];
  return [`The model provider rejected the request (status ${status}): check the model and its settings.`, 'OTHER'];
}

/**
 * OpenRouter (404), Ollama (400) and vLLM without a tool parser (400) each have their own words.
 */
function isAboutTools(status: number, { message }: ProviderErrorBody): boolean {
  if (status !== 400 && status !== 404 && status !== 422 && status !== 501) return false;
  return (
    (/\b(does not|doesn't|not|no|cannot|can't|unsupported)\b.{0,60}\b(tools?|tool use|tool calls?|function calling)\b/i.test(
      message,
    ) &&
      /\bsupport|enable-auto-tool-choice|\bunsupported|\bcannot use|\bcan't use/i.test(message)) ||
    /enable-auto-tool-choice|tool-call-parser/i.test(message)
  );
}

/**
 * OpenAI, Groq, vLLM, Ollama and Azure answer 404, as they and others do to a wrong path; OpenRouter, DeepSeek and others
 * 400. Often only the text says what the error is about.
 */
function isAboutModel(status: number, { code, param, message, isReport }: ProviderErrorBody): boolean {
  if (unknownModelCodes.has(code)) return true;
  if (status !== 404 && status !== 400 && status !== 422) return false;
  if (param === 'model') return true;
  if (status === 404) {
    // The requested path may be repeated, with any words in it.
    const words = message.replace(/(^|[^\w.-])(https?:\/)?\/[^\s"'`]*/gi, '$1');
    return isReport && /\b(models?|deployments?)\b|\bno endpoints found for\b/i.test(words);
  }
  return /\bmodel\b.*\b(not (exist|found|a valid)|does not exist|unknown)|\b(not a valid|unknown|invalid) model\b/i.test(
    message,
  );
}

/** Google and xAI answer a wrong key with 400. */
function isAboutKey(status: number, { code, message }: ProviderErrorBody): boolean {
  if (code === 'invalid_api_key') return true;
  return (
    status === 400 &&
    /\b(api|access)[ _-]?key\b.*\b(invalid|incorrect|not valid|expired)\b|\b(invalid|incorrect) api[ _-]?key\b/i.test(
      message,
    )
  );
}

/** Whether a status says that nothing is at this address, so that another spelling of it may work. */
export function isWrongPath(status: number, body: ProviderErrorBody): boolean {
  if (status !== 404 && status !== 405) return false;
  return failureOfStatus(status, body).problem === 'BAD_ANSWER';
}
