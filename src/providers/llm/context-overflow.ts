/** How providers say that a request is longer than the model's context window. */
const wordings: readonly RegExp[] = [
  // OpenAI, Azure, vLLM, DeepSeek, OpenRouter: "maximum context length is N tokens"; xAI: "maximum prompt length".
  /maximum (model |context |prompt |sequence |input )+(length|window|size|limit)/i,
  // Mistral: "too large for model with 32768 maximum context length".
  /too large for (the )?model with/i,
  // llama.cpp: "exceeds the available context size"; Ollama, LM Studio, LiteLLM: "exceeds … context …".
  /(exceed\w*|greater than|larger than|longer than|overflows?)\b.{0,60}\bcontext\b/i,
  /\bcontext\b.{0,40}\b(exceeded|overflows?|limit reached|is too small)/i,
  // Gemini: "The input token count (N) exceeds the maximum number of tokens allowed (M)".
  /token count\b.{0,40}\bexceeds/i,
  /exceeds? (the )?(maximum|max) (number of |allowed |input )*tokens/i,
  // Anthropic: "prompt is too long: N tokens > M maximum"; Bedrock: "Input is too long for requested model".
  /\b(prompt|input|request|conversation|messages?)\b.{0,30}\btoo (long|many tokens)/i,
  // Groq: "Please reduce the length of the messages or completion".
  /reduce the length of (the|your) (messages|prompt|input)/i,
  // TGI: "`inputs` tokens + `max_new_tokens` must be <= 4096"; Cohere: "too many tokens: … cannot exceed".
  /inputs?`? tokens.{0,60}must be/i,
  /too many tokens:/i,
];

const codes: ReadonlySet<string> = new Set([
  'context_length_exceeded',
  'exceed_context_size_error',
  'context_window_exceeded',
  'model_context_window_exceeded',
  'string_above_max_length',
]);

/** The context window, if the message names it. */
const windows: readonly RegExp[] = [
  /(?:maximum|available|max)[a-z\s]{1,40}(?:length|window|size)[a-z\s]{0,12}[:(]? ?(\d{3,8})/i,
  /context length is only (\d{3,8})/i,
  /model with (\d{3,8}) maximum context length/i,
  /maximum number of tokens allowed \((\d{3,8})\)/i,
  /tokens > (\d{3,8}) maximum/i,
  /"?n_ctx"?\s*[:=]\s*(\d{3,8})/i,
  /must be <= (\d{3,8})/i,
];

/** Whether an error says that the request is too long for the model. */
export function isContextOverflow(error: {
  readonly code: string;
  readonly type: string;
  readonly message: string;
}): boolean {
  if (codes.has(error.code) || codes.has(error.type)) return true;
  return wordings.some((wording) => wording.test(error.message));
}

/** The context window that the error names, in tokens; null: it names none. */
export function readContextWindow(message: string): number | null {
  for (const window of windows) {
    const found = window.exec(message)?.[1];
    if (found !== undefined) return Number(found);
  }
  return null;
}
