import { llmPresets } from '../../providers/llm/presets.ts';

/** The name of the provider at a base URL: that of its preset, else `custom`. */
export function nameLlmProvider(apiUrl: string): string {
  return Object.entries(llmPresets).find(([, preset]) => preset.apiUrl === apiUrl)?.[0] ?? 'custom';
}

/**
 * Checks the form of a provider's base URL; the address guard checks where it leads.
 * @param schemes the allowed schemes, with their colons
 * @returns what is wrong, as the end of a sentence, without any part of the URL, which may hold a secret; null: nothing
 */
export function findUrlProblem(apiUrl: string, schemes: readonly string[]): string | null {
  const url = /[\s\\]/.test(apiUrl) ? null : URL.parse(apiUrl);
  const begins = schemes.map((scheme) => `${scheme}//`).join(' or ');
  if (url === null || !schemes.includes(url.protocol)) return `must be a URL that begins with ${begins}`;
  if (url.username !== '' || url.password !== '')
    return 'must not hold a user name or password: give the key as apiKey';
  if (apiUrl.includes('#')) return 'must not hold a fragment';
  // Keys must not be in URLs, which end up in logs: the only query parameter allowed is Azure's api-version.
  const queried = [...url.searchParams.keys()].filter((name) => name !== 'api-version');
  if (queried.length > 0) return 'must not hold a query, except Azure’s api-version';
  return null;
}

/** Names of keys; compared without case, dashes, underscores and spaces. */
const keyNames = new Set([
  ...['apikey', 'xapikey', 'key', 'authorization', 'bearer', 'token', 'accesstoken', 'authtoken', 'bearertoken'],
  ...['secret', 'secretkey', 'clientsecret', 'password', 'credentials', 'headers', 'extraheaders'],
]);

/** Under these names a JSON Schema has properties and definitions, which may have any name. */
const schemaNames = new Set(['properties', 'patternProperties', '$defs', 'definitions']);

/**
 * Whether a value under the name of a key can be or hold a key: a text, an object or a list. Numbers and booleans cannot,
 * nor can the JSON Schema of a property that is called `token`.
 */
function canHoldKey(value: unknown, inSchema: boolean): boolean {
  if (typeof value === 'string') return value !== '';
  return !inSchema && typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

/**
 * Finds what options of a provider must not hold: keys, at any depth, and fields that the server sets.
 * @param reserved the fields that the server sets
 * @returns the first problem, with its path in the options; null: there is none
 */
export function findOptionProblem(
  options: Readonly<Record<string, unknown>>,
  reserved: ReadonlySet<string>,
): { readonly path: (string | number)[]; readonly message: string } | null {
  for (const name of Object.keys(options)) {
    if (reserved.has(name)) return { path: [name], message: 'is set by the server: remove it from the options' };
  }
  const open: { readonly value: unknown; readonly path: (string | number)[] }[] = [{ value: options, path: [] }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value !== 'object' || next.value === null) continue;
    const inSchema = schemaNames.has(String(next.path.at(-1)));
    for (const [name, value] of Object.entries(next.value)) {
      const path = [...next.path, Array.isArray(next.value) ? Number(name) : name];
      if (keyNames.has(name.toLowerCase().replace(/[-_ ]/g, '')) && canHoldKey(value, inSchema)) {
        return { path, message: 'must not hold a key, because options can be read back: use apiKey' };
      }
      open.push({ value, path });
    }
  }
  return null;
}
