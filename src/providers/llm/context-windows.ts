/**
 * The context windows of models that only their vendors run, in tokens, the first pattern that fits. The window of an open
 * model depends on the server that runs it, so it is not here: agents set `contextTokens`.
 */
const windows: readonly (readonly [pattern: RegExp, tokens: number])[] = [
  [/^gpt-5.*-chat/, 128_000],
  [/^gpt-5/, 400_000],
  [/^gpt-4\.1/, 1_047_576],
  [/^(gpt-4o|gpt-4-turbo|chatgpt-4o|o1-mini|o1-preview)/, 128_000],
  [/^gpt-4-32k/, 32_768],
  [/^gpt-4/, 8_192],
  [/^gpt-3\.5/, 16_385],
  [/^o[1-9]/, 200_000],
  [/^claude-(instant|[12])/, 100_000],
  [/^claude/, 200_000],
  [/^gemini-1\.0/, 32_760],
  [/^gemini/, 1_048_576],
  [/^grok-(2|beta)/, 131_072],
  [/^grok/, 256_000],
  [/^(mistral-(large|medium|small)|magistral|ministral|codestral)-.*latest/, 128_000],
  [/^deepseek-(chat|reasoner)$/, 128_000],
  [/^moonshot-v1-8k/, 8_192],
  [/^moonshot-v1-32k/, 32_768],
  [/^(kimi|moonshot)-/, 128_000],
];

/**
 * The context window of a model, by its name at its vendor or at a proxy (`openai/gpt-4o`).
 * @returns null: it is not known
 */
export function findContextTokens(model: string): number | null {
  const name = model.slice(model.lastIndexOf('/') + 1).toLowerCase();
  return windows.find(([pattern]) => pattern.test(name))?.[1] ?? null;
}
