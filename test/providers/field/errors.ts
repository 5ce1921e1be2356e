/** The body of an error as a provider was reported to send it, and what it has to be taken for. */
export interface FieldError {
  readonly id: string;
  readonly status: number;
  readonly body: unknown;
  readonly code: string;
  readonly message?: RegExp;
  readonly retryAfterMs?: number;
  readonly contextTokens?: number;
}

const overflow = (id: string, status: number, message: string, contextTokens?: number): FieldError => ({
  id: `P16c context overflow at ${id}`,
  status,
  body: { error: { message, type: 'invalid_request_error', param: null, code: null } },
  code: 'CONTEXT_TOO_LONG',
  ...(contextTokens === undefined ? {} : { contextTokens }),
});

export const errors: readonly FieldError[] = [
  overflow(
    'OpenAI',
    400,
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    8_192,
  ),
  {
    id: 'P16c context overflow at Azure',
    status: 400,
    body: { error: { code: 'context_length_exceeded', message: 'Too long' } },
    code: 'CONTEXT_TOO_LONG',
  },
  {
    id: 'P16c context overflow at vLLM',
    status: 400,
    body: {
      object: 'error',
      message: "This model's maximum context length is 16384 tokens. However, you requested 17000 tokens",
      type: 'BadRequestError',
      code: 400,
    },
    code: 'CONTEXT_TOO_LONG',
    contextTokens: 16_384,
  },
  overflow(
    'vLLM, its other wording',
    400,
    'The decoder prompt (length 20001) is longer than the maximum model length of 16384. Make sure that `max_model_len` is no smaller.',
    16_384,
  ),
  {
    id: 'P16c context overflow at llama.cpp',
    status: 400,
    body: {
      error: {
        code: 400,
        message: 'the request exceeds the available context size, try increasing it',
        type: 'exceed_context_size_error',
        n_prompt_tokens: 9_000,
        n_ctx: 4_096,
      },
    },
    code: 'CONTEXT_TOO_LONG',
  },
  {
    id: 'P16c context overflow at Ollama',
    status: 400,
    body: { error: 'prompt too long; exceeded max context length by 12 tokens' },
    code: 'CONTEXT_TOO_LONG',
  },
  {
    id: 'P16c context overflow at Mistral',
    status: 400,
    body: {
      object: 'error',
      message: 'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length',
      type: 'invalid_request_error',
      code: '3051',
    },
    code: 'CONTEXT_TOO_LONG',
    contextTokens: 32_768,
  },
  overflow('Groq', 400, 'Please reduce the length of the messages or completion.'),
  {
    id: 'P16c context overflow at Gemini',
    status: 400,
    body: [
      {
        error: {
          code: 400,
          message: 'The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).',
          status: 'INVALID_ARGUMENT',
        },
      },
    ],
    code: 'CONTEXT_TOO_LONG',
    contextTokens: 1_048_576,
  },
  overflow('Anthropic', 400, 'prompt is too long: 208310 tokens > 200000 maximum', 200_000),
  {
    id: 'a request that is larger than the tokens of a minute (Groq)',
    status: 413,
    body: {
      error: {
        message: 'Request too large for model. Limit 6000, Requested 9000',
        type: 'tokens',
        code: 'rate_limit_exceeded',
      },
    },
    code: 'RATE_LIMITED',
  },
  {
    id: 'P43 no tools at OpenRouter',
    status: 404,
    body: { error: { message: 'No endpoints found that support tool use.', code: 404 } },
    code: 'MODEL_ERROR',
    message: /cannot use tools/,
  },
  {
    id: 'P43 no tools at Ollama',
    status: 400,
    body: { error: { message: 'registry.ollama.ai/library/gemma:2b does not support tools', type: 'api_error' } },
    code: 'MODEL_ERROR',
    message: /cannot use tools/,
  },
  {
    id: 'P43 no tools at vLLM',
    status: 400,
    body: {
      object: 'error',
      message: '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
      code: 400,
    },
    code: 'MODEL_ERROR',
    message: /cannot use tools/,
  },
  {
    id: 'payment',
    status: 402,
    body: { error: { message: 'Insufficient balance' } },
    code: 'MODEL_ERROR',
    message: /requires payment \(402\)/,
  },
  {
    id: 'a pause named in the message',
    status: 429,
    body: { error: { message: 'Rate limit reached. Please try again in 1m7.5s.', code: 'rate_limit_exceeded' } },
    code: 'RATE_LIMITED',
    retryAfterMs: 67_500,
  },
  {
    id: 'a pause named by Gemini',
    status: 429,
    body: [{ error: { code: 429, message: 'Quota', details: [{ '@type': 'RetryInfo', retryDelay: '34s' }] } }],
    code: 'RATE_LIMITED',
    retryAfterMs: 34_000,
  },
  {
    id: 'a wrong path',
    status: 404,
    body: { detail: 'Not Found' },
    code: 'MODEL_ERROR',
    message: /usually ends in \/v1/,
  },
  {
    id: 'an error of FastAPI',
    status: 422,
    body: { detail: [{ loc: ['body'], msg: 'wrong' }] },
    code: 'MODEL_ERROR',
    message: /rejected the request/,
  },
];
