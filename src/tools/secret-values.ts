import type { ToolOutcome } from '../engine/ports.ts';

/** Shorter ones would be found everywhere; they protect nothing. */
const shortest = 6;
const shown = '[secret]';
/** Headers of an operator's file that hold no secret. */
const open = /^(accept(-.*)?|user-agent|content-.*)$/;

/** Headers, and which of them are secret. Unset: all that may be one, for it is not known. */
interface WithSecrets {
  readonly headers: Readonly<Record<string, string>>;
  readonly secretNames?: readonly string[] | undefined;
}

/**
 * What nobody may be shown of the headers: the values of the secret ones, what follows a scheme such as `Bearer` in
 * them, and the password of a `Basic` one. Values of less than six characters are left out. The longest come first.
 */
export function listSecretValues({ headers, secretNames }: WithSecrets): string[] {
  const names = secretNames ?? Object.keys(headers).filter((name) => !open.test(name));
  const values = names.flatMap((name) => {
    const value = headers[name];
    if (value === undefined) return [];
    const [, scheme = '', credentials] = /^(\S+)\s+(\S.*)$/.exec(value) ?? [];
    if (credentials === undefined) return [value];
    if (scheme.toLowerCase() !== 'basic') return [value, credentials];
    const pair = Buffer.from(credentials, 'base64').toString('utf8');
    return [value, credentials, pair, pair.slice(pair.indexOf(':') + 1)];
  });
  const unique = new Set(values.filter((value) => value.length >= shortest));
  return [...unique].sort((one, other) => other.length - one.length);
}

/** A text without the secrets. */
export function hideInText(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, shown), text);
}

/** A JSON value without the secrets, in keys as well. What is no JSON, or nested too deep for it, stays as it is. */
export function hideInJson(value: unknown, secrets: readonly string[]): unknown {
  if (secrets.length === 0 || value === undefined) return value;
  try {
    const json = JSON.stringify(value);
    if (!secrets.some((secret) => json.includes(JSON.stringify(secret).slice(1, -1)))) return value;
    return JSON.parse(json, (_key, entry: unknown) => {
      if (typeof entry === 'string') return hideInText(entry, secrets);
      if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return entry;
      return Object.fromEntries(Object.entries(entry).map(([key, inner]) => [hideInText(key, secrets), inner]));
    });
  } catch {
    return value;
  }
}

/** What a tool came back with, without the secrets that its system may have sent back. */
export function hideInOutcome(outcome: ToolOutcome, secrets: readonly string[]): ToolOutcome {
  if (outcome.ok) return { ok: true, result: hideInJson(outcome.result, secrets) };
  return { ok: false, error: hideInText(outcome.error, secrets) };
}
