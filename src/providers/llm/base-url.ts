/** A base URL without slashes at its end, and without the path of an operation that somebody copied along. */
export function trimBase(apiUrl: string): string {
  return apiUrl.replace(/\/+$/, '').replace(/\/(chat\/completions|completions|responses)$/, '');
}

/**
 * The other usual spelling of a base URL: with /v1 if it has no version, or without its version.
 * @returns null: there is none
 */
export function findOtherBase(base: string): string | null {
  const url = URL.parse(base);
  if (url === null || url.search !== '') return null;
  const versioned = /^(.*)\/v\d+(beta\d*)?$/.exec(base);
  return versioned ? (versioned[1] ?? null) : `${base}/v1`;
}
