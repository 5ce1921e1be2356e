import type { ToolOutcome } from '../../engine/ports.ts';

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

/**
 * A text without the secrets: as they are, and in all spellings of JSON (RFC 8259, section 7), also where that JSON is
 * itself a text in another one, and its backslashes are escaped.
 */
export function hideInText(text: string, secrets: readonly string[]): string {
  const rest = secrets.reduce((left, secret) => left.replaceAll(secret, shown), text);
  return secrets.length > 0 && rest.includes('\\') ? hideEscaped(rest, secrets) : rest;
}

/** Backslashes, however often they were escaped, and the character after them where it is given by its number. */
const escapes = /\\+(?:u005c\\*)*(?:u([0-9a-f]{4}))?/gi;
const letters: Readonly<Record<string, string>> = { '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't' };

/**
 * A text in which all spellings of one are the same: without backslashes, numbered characters as themselves, and those
 * that are escaped with a letter as that letter.
 */
function unescapeAll(text: string): string {
  const named = text.replace(/\\u005c/gi, '\\').replace(/\\u([0-9a-f]{4})/gi, (_escape, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return letters[character] ?? character;
  });
  return named.replaceAll('\\', '');
}

function hideEscaped(text: string, secrets: readonly string[]): string {
  const plain = unescapeAll(text);
  const found = secrets.flatMap((secret) => {
    const looked = unescapeAll(secret.replace(/[\b\f\n\r\t]/g, (control) => letters[control] ?? ''));
    // What is left of a secret of backslashes would be found everywhere.
    return looked.length < shortest ? [] : findAll(plain, looked);
  });
  if (found.length === 0) return text;
  const origins = locate(text);
  let rest = '';
  let from = 0;
  for (const { start, end } of found.sort((one, other) => one.start - other.start)) {
    const [first, last] = [origins.begins[start] ?? 0, origins.ends[end - 1] ?? 0];
    if (last <= from) continue;
    if (first >= from) rest += text.slice(from, first) + shown;
    from = last;
  }
  return rest + text.slice(from);
}

function findAll(text: string, part: string): { readonly start: number; readonly end: number }[] {
  const found = [];
  for (let start = text.indexOf(part); start >= 0; start = text.indexOf(part, start + part.length)) {
    found.push({ start, end: start + part.length });
  }
  return found;
}

/** Where each character of `unescapeAll` stands in the text, with the backslashes in front of it. */
function locate(text: string): { readonly begins: Uint32Array; readonly ends: Uint32Array } {
  const [begins, ends] = [new Uint32Array(text.length), new Uint32Array(text.length)];
  let count = 0;
  let at = 0;
  let begin = 0;
  const note = (end: number) => {
    begins[count] = begin;
    ends[count] = end;
    count += 1;
    at = begin = end;
  };
  for (const { 0: written, 1: hex, index } of text.matchAll(escapes)) {
    while (at < index) note(at + 1);
    at = index + written.length;
    if (hex !== undefined) note(at);
  }
  while (at < text.length) note(at + 1);
  return { begins, ends };
}

/**
 * A JSON value without the secrets, in keys as well, and in JSON that is a text in it. What is no JSON stays as it is;
 * what is nested too deep to be walked becomes a text.
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

/** What a tool came back with, without the secrets that its system may have sent back. */
export function hideInOutcome(outcome: ToolOutcome, secrets: readonly string[]): ToolOutcome {
  if (outcome.ok) return { ok: true, result: hideInJson(outcome.result, secrets) };
  return { ok: false, error: hideInText(outcome.error, secrets) };
}
