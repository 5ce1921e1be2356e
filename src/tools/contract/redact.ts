import type { ToolOutcome } from '../../engine/ports.ts';

/** Shorter values are not hidden: they would be found everywhere, and they protect nothing. */
const minLength = 6;
const replacement = '[secret]';
/** Headers of an operator's file that hold no secret. */
const openHeaders = /^(accept(-.*)?|user-agent|content-.*)$/;

/** Headers, and which of them are secret. Unset: unknown, so each of them may be. */
interface HeadersWithSecrets {
  readonly headers: Readonly<Record<string, string>>;
  readonly secretNames?: readonly string[] | undefined;
}

/**
 * The values that nobody may see of the headers: those of the secret ones, what follows a scheme such as `Bearer` in
 * them, and the password of a `Basic` one. Values of less than six characters are left out.
 */
export function listSecretValues({ headers, secretNames }: HeadersWithSecrets): string[] {
  const names = secretNames ?? Object.keys(headers).filter((name) => !openHeaders.test(name));
  const values = names.flatMap((name) => {
    const value = headers[name];
    if (value === undefined) return [];
    const [, scheme = '', credentials] = /^(\S+)\s+(\S.*)$/.exec(value) ?? [];
    if (credentials === undefined) return [value];
    if (scheme.toLowerCase() !== 'basic') return [value, credentials];
    const pair = Buffer.from(credentials, 'base64').toString('utf8');
    return [value, credentials, pair, pair.slice(pair.indexOf(':') + 1)];
  });
  return [...new Set(values.filter((value) => value.length >= minLength))];
}

/**
 * How a secret may be written in a text: as it is; in JSON, with and without escaped slashes and non-ASCII characters,
 * and in JSON that is a string in JSON; URL-encoded; as base64. Other encodings are not recognised: base64 of a longer
 * text that holds it, its characters one by one as numbers, a hash.
 */
function listSpellings(secret: string): string[] {
  const json = escapeJson(secret);
  const escaped = [json, escapeNonAscii(json), escapeNonAscii(json).replace(/\\u[0-9a-f]{4}/g, capitalizeHex)];
  const jsons = [...escaped, ...escaped.map((text) => text.replaceAll('/', '\\/'))];
  const url = encodeURIComponent(secret.toWellFormed());
  const urls = [url, url.replaceAll('%20', '+')];
  const lowerUrls = urls.map((text) => text.replace(/%../g, (code) => code.toLowerCase()));
  const bytes = Buffer.from(secret);
  const base64 = [bytes.toString('base64'), bytes.toString('base64url')];
  return [secret, ...jsons, ...jsons.map(escapeJson), ...urls, ...lowerUrls, ...base64];
}

function escapeJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function escapeNonAscii(json: string): string {
  return json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function capitalizeHex(code: string): string {
  return `\\u${code.slice(2).toUpperCase()}`;
}

/** The spellings of lists of secrets: a JSON value is searched text by text with one list. */
const spellings = new WeakMap<readonly string[], readonly string[]>();

function spell(secrets: readonly string[]): readonly string[] {
  const known = spellings.get(secrets);
  if (known) return known;
  // The longest first: a secret may be a part of another one.
  const all = [...new Set(secrets.flatMap(listSpellings))].sort((one, other) => other.length - one.length);
  spellings.set(secrets, all);
  return all;
}

/** The text with `[secret]` in place of each secret (listSpellings says in which spellings). */
export function hideInText(text: string, secrets: readonly string[]): string {
  return spell(secrets).reduce((rest, spelling) => rest.replaceAll(spelling, replacement), text);
}

/**
 * The JSON value with `[secret]` in place of each secret, in keys as well. A value that cannot be written as JSON is
 * returned as it is; one that is nested too deep to be parsed again becomes a text.
 */
export function hideInJson(value: unknown, secrets: readonly string[]): unknown {
  if (secrets.length === 0 || value === undefined) return value;
  let json: string;
  try {
    json = JSON.stringify(value);
  } catch {
    return value;
  }
  const hidden = hideInText(json, secrets);
  if (hidden === json) return value;
  try {
    return JSON.parse(json, (_key, entry: unknown) => {
      if (typeof entry === 'string') return hideInText(entry, secrets);
      if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return entry;
      return Object.fromEntries(Object.entries(entry).map(([key, inner]) => [hideInText(key, secrets), inner]));
    });
  } catch {
    return hidden;
  }
}

/** The outcome of a tool without the secrets that its system was sent and may have sent back. */
export function hideInOutcome(outcome: ToolOutcome, secrets: readonly string[]): ToolOutcome {
  if (outcome.ok) return { ok: true, result: hideInJson(outcome.result, secrets) };
  return { ok: false, error: hideInText(outcome.error, secrets) };
}
