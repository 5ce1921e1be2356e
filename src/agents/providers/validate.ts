import { llmPresets } from '../../providers/llm/presets.ts';

/** What the provider at a base URL is called: as its preset is, else `custom`. */
export function nameLlmProvider(apiUrl: string): string {
  return Object.entries(llmPresets).find(([, preset]) => preset.apiUrl === apiUrl)?.[0] ?? 'custom';
}

/**
 * What is wrong with the form of a provider's base URL, as the end of a sentence; null: nothing. Where it may lead is for
 * the guard to say. What is written in it is not repeated: it may hold a secret.
 * @param schemes with their colons
 */
export function findUrlProblem(apiUrl: string, schemes: readonly string[]): string | null {
  const url = /[\s\\]/.test(apiUrl) ? null : URL.parse(apiUrl);
  const begins = schemes.map((scheme) => `${scheme}//`).join(' or ');
  if (url === null || !schemes.includes(url.protocol)) return `must be a URL that begins with ${begins}`;
  if (url.username !== '' || url.password !== '')
    return 'must not hold a user name or password: give the key as apiKey';
  if (apiUrl.includes('#')) return 'must not hold a fragment';
  // Keys do not belong into URLs, which end up in logs: of queries, only Azure's api-version is let in.
  const queried = [...url.searchParams.keys()].filter((name) => name !== 'api-version');
  if (queried.length > 0) return 'must not hold a query (but Azure’s api-version)';
  return null;
}

/** What keys are called; compared without case, dashes and underscores. */
const keyNames = new Set([
  ...['apikey', 'xapikey', 'key', 'authorization', 'bearer', 'token', 'accesstoken', 'authtoken', 'bearertoken'],
  ...['secret', 'secretkey', 'clientsecret', 'password', 'credentials', 'headers', 'extraheaders'],
]);

/** Under these names a JSON Schema has properties and definitions, which may be called as they like. */
const schemaNames = new Set(['properties', 'patternProperties', '$defs', 'definitions']);

/**
 * Whether what stands under the name of a key can be one: a text, or what may hold one. The schema of a property `token`
 * is none; numbers and switches are none.
 */
function canHoldKey(value: unknown, inSchema: boolean): boolean {
  if (typeof value === 'string') return value !== '';
  return !inSchema && typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

/**
 * What of a provider's options is not for options: keys, wherever they stand, and what the server decides.
 * @param reserved names that the server decides
 */
export function findOptionProblem(
  options: Readonly<Record<string, unknown>>,
  reserved: ReadonlySet<string>,
): { readonly path: (string | number)[]; readonly message: string } | null {
  for (const name of Object.keys(options)) {
    if (reserved.has(name)) return { path: [name], message: 'is decided by the server: take it out of the options' };
  }
  const open: { readonly value: unknown; readonly path: (string | number)[] }[] = [{ value: options, path: [] }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value !== 'object' || next.value === null) continue;
    const inSchema = schemaNames.has(String(next.path.at(-1)));
    for (const [name, value] of Object.entries(next.value)) {
      const path = [...next.path, Array.isArray(next.value) ? Number(name) : name];
      if (keyNames.has(name.toLowerCase().replace(/[-_ ]/g, '')) && canHoldKey(value, inSchema)) {
        return { path, message: 'must not hold a key: options can be read, apiKey cannot' };
      }
      open.push({ value, path });
    }
  }
  return null;
}
