import type { Failure, ModelProblem } from '../../engine/ports.ts';

/** What providers call a refusal by policy. Azure, OpenAI and the Responses API each have their own. */
const refusalCodes: ReadonlySet<unknown> = new Set([
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

/** What providers call a model that they do not have. */
const unknownModelCodes: ReadonlySet<unknown> = new Set([
  'model_not_found',
  'DeploymentNotFound',
  'unknown_model',
  'invalid_model',
]);

/** What a provider said with a status, or in an answer. Only what it means is told on, and none of its words. */
export interface ProviderErrorBody {
  readonly code: unknown;
  readonly param: unknown;
  /** As far as it matters: 500 characters. */
  readonly message: string;
  /** Whether it is JSON, as the API's errors are, and not a page of whatever else is at that address. */
  readonly isReport: boolean;
}

/** The failure that an HTTP status and what came with it mean. */
export function failureOfStatus(
  status: number,
  told: ProviderErrorBody,
): { readonly failure: Failure; readonly problem: ModelProblem } {
  if (refusalCodes.has(told.code)) return { failure: refused, problem: 'REFUSED' };
  if (told.code === 'insufficient_quota') {
    const message = 'The quota at the model provider is used up.';
    return { failure: { code: 'RATE_LIMITED', message, retryable: false }, problem: 'RATE_LIMITED' };
  }
  if (status === 429) {
    const message = 'The model provider is busy: try again in a moment.';
    return { failure: { code: 'RATE_LIMITED', message, retryable: true }, problem: 'RATE_LIMITED' };
  }
  if (status === 408 || status === 504) return { failure: timedOut, problem: 'TIMEOUT' };
  const retryable = status === 409 || status === 425 || status >= 500;
  const [message, problem] = describeStatus(status, told);
  return { failure: { code: 'MODEL_ERROR', message, retryable }, problem };
}

function describeStatus(status: number, told: ProviderErrorBody): readonly [message: string, problem: ModelProblem] {
  if (told.code === 'context_length_exceeded' || status === 413) {
    return ['The conversation is too long for the model.', 'OTHER'];
  }
  if (told.param === 'temperature') return ['The model does not accept this temperature.', 'OTHER'];
  if (isAboutModel(status, told)) {
    return ['The model provider does not know this model: check its name.', 'UNKNOWN_MODEL'];
  }
  if (status === 401 || isAboutKey(status, told)) {
    return ['The model provider does not accept the API key.', 'INVALID_KEY'];
  }
  if (status === 402) return ['The account at the model provider has to be paid first.', 'OTHER'];
  if (status === 403) return ['The API key may not use this model.', 'INVALID_KEY'];
  if (status === 404 || status === 405) {
    return ['The model provider knows no such address: check its API URL and path.', 'BAD_ANSWER'];
  }
  if (status >= 300 && status < 400) {
    return ['The model provider redirects to another address: check its API URL.', 'OTHER'];
  }
  if (status >= 500) return [`The model provider failed (status ${status}).`, 'OTHER'];
  return [`The model provider rejected the request (status ${status}): check the model and its settings.`, 'OTHER'];
}

/**
 * OpenAI, Groq, vLLM, Ollama and Azure say 404, as they and others do to a wrong path; OpenRouter, DeepSeek and others 400.
 * What the error is about tells them apart, and often only the text says that.
 */
function isAboutModel(status: number, { code, param, message, isReport }: ProviderErrorBody): boolean {
  if (unknownModelCodes.has(code)) return true;
  if (status !== 404 && status !== 400 && status !== 422) return false;
  if (param === 'model') return true;
  if (status === 404) {
    // The path that was asked for may be repeated, with whatever words are in it.
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
