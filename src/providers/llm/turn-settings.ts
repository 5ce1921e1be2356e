type Options = Readonly<Record<string, unknown>>;

/** The options that bound an answer and are written under names that differ from provider to provider. */
const tokenOptions: ReadonlySet<string> = new Set(['max_tokens', 'max_completion_tokens']);

/** What a turn was given; null: not given. */
export interface GivenSettings {
  readonly temperature: number | null;
  readonly maxTokens: number | null;
}

/**
 * The options of an agent where a turn has settings of its own, which come first. A token limit keeps the name under
 * which the options write it, as some models accept one name alone; what each request says anyway (temperature,
 * max_output_tokens) is left out. Null goes on taking a parameter out: the model does not accept it, whoever gives it.
 */
export function overrideSettings(options: Options, given: GivenSettings): Options {
  const { temperature, maxTokens } = given;
  const entries = Object.entries(options).flatMap(([name, value]): [string, unknown][] => {
    if (value === null) return [[name, value]];
    if (name === 'temperature' && temperature !== null) return [];
    if (name === 'max_output_tokens' && maxTokens !== null) return [];
    return [[name, tokenOptions.has(name) && maxTokens !== null ? maxTokens : value]];
  });
  return Object.fromEntries(entries);
}

/** Whether an option of this name limits the tokens of an answer. */
export function isTokenLimit(name: string): boolean {
  return tokenOptions.has(name) || name === 'max_output_tokens';
}

/** Whether options have a token limit for Chat Completions, under either of its names. */
export function hasTokenLimit(options: Options): boolean {
  return [...tokenOptions].some((name) => options[name] !== undefined && options[name] !== null);
}

/** The options with no token limit above `most`. Null goes on taking a parameter out. */
export function capTokens(options: Options, most: number): Options {
  const entries = Object.entries(options).map(([name, value]) => {
    if (value === null || !isTokenLimit(name)) return [name, value];
    return [name, typeof value === 'number' ? Math.min(value, most) : most];
  });
  return Object.fromEntries(entries);
}
