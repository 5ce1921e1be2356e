import { areSteps, isOneStep } from '../../outbound/path-steps.ts';

/**
 * A parsed URL template. `{name}` stands for an argument: one step of the path, or a part of the query; `{name+}` stands
 * for one that may be several steps of the path. Scheme and host are fixed.
 */
export interface UrlTemplate {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query, with the placeholders. */
  readonly rest: string;
  /** A URL that it makes, to check where it leads. */
  readonly example: URL;
  /** The names of its placeholders. */
  readonly names: ReadonlySet<string>;
  /** Names of the query parameters that it writes: an argument cannot add to them. */
  readonly taken: ReadonlySet<string>;
}

const placeholder = /\{([A-Za-z_][A-Za-z0-9_-]{0,63})(\+?)\}/g;
const maxUrlLength = 8_000;

/**
 * Parses a URL template.
 * @returns the template, or why it is invalid, as the end of a sentence
 */
export function parseTemplate(url: string): UrlTemplate | string {
  const [, base = '', rest = ''] = /^(https?:\/\/[^/?#]*)(.*)$/is.exec(url) ?? [];
  if (base === '') return 'must be a URL that begins with https:// or http://';
  if (/[{}]/.test(base)) return 'must not have a placeholder in its host: only in path and query';
  if (rest.includes('#')) return 'must not have a fragment';
  if (/[^\x21-\x7e]|\\/.test(url)) return 'must hold visible ASCII characters only, and no backslash';
  if (/%[0-9a-f]?\{/i.test(rest)) return 'must not have a placeholder within a percent-encoded character';
  if (/[{}]/.test(rest.replace(placeholder, '')))
    return 'has a brace that does not belong to a placeholder such as {orderNumber}';
  const filled = URL.parse(base + rest.replace(placeholder, 'x'));
  if (filled === null || filled.hostname === '') return 'must be a URL that begins with https:// or http://';
  if (filled.username !== '' || filled.password !== '') {
    return 'must not hold a user name or password: set a secret header instead';
  }
  const [path = '', query = ''] = splitQuery(rest);
  if (hasDotSegment(path)) return 'must not have . or .. as a step of its path';
  const several = listPlaceholders(query).find(({ isPath }) => isPath);
  if (several) return `must not have {${several.name}+} in its query: it stands for steps of the path`;
  const names = new Set([...rest.matchAll(placeholder)].map(([, name = '']) => name));
  const taken = new Set(new URLSearchParams(query.replace(placeholder, 'x')).keys());
  return { origin: filled.origin, rest: rest === '' ? '/' : rest, example: filled, names, taken };
}

/** An argument as text for a URL; null if it cannot be one. */
export function writeScalar(value: unknown): string | null {
  if (typeof value === 'string') return value.isWellFormed() ? value : null;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

/**
 * Fills a template. Each argument is percent-encoded, and none can add a step, a parameter or another host.
 * @param query more parameters of the query, in order
 * @returns the URL, or an error for the model
 */
export function fillTemplate(
  template: UrlTemplate,
  args: Readonly<Record<string, unknown>>,
  query: readonly (readonly [name: string, value: string])[],
): URL | string {
  const [path = '', written = ''] = splitQuery(template.rest);
  const missing = [
    ...listPlaceholders(path).filter(({ name }) => (readScalar(args, name) ?? '') === ''),
    ...listPlaceholders(written).filter(({ name }) => readScalar(args, name) === null),
  ].map(({ name }) => name);
  if (missing.length > 0) {
    return `The arguments need ${missing.join(', ')}: a string, a number or a boolean, and not empty.`;
  }
  const steps = path.split('/').map((step) => fillStep(step, args));
  const unsafe = steps.flatMap((step) => (typeof step === 'string' ? [] : step.unsafe));
  if (unsafe.length > 0) {
    return `The path does not allow these values of ${unsafe.join(', ')}: a step of a path must not be empty, . or .., and must not hold / or \\, also encoded.`;
  }
  const filledPath = steps.join('/');
  const filledQuery = written.replace(placeholder, (_whole, name: string) => encode(args, name));
  const added = new URLSearchParams(query.map(([name, value]) => [name, value])).toString();
  const search = [filledQuery, added].filter((part) => part !== '').join('&');
  const url = URL.parse(`${template.origin}${filledPath}${search === '' ? '' : `?${search}`}`);
  if (url === null || url.origin !== template.origin) return 'The arguments do not form a valid URL.';
  return url.href.length > maxUrlLength ? 'The arguments are too long for a URL.' : url;
}

/** A step of the path with its arguments, encoded; or the names of the placeholders whose values cannot stand there. */
function fillStep(step: string, args: Readonly<Record<string, unknown>>): string | { readonly unsafe: string[] } {
  const placeholders = listPlaceholders(step);
  if (placeholders.length === 0) return step;
  const unsafe = placeholders.filter(
    ({ name, isPath }) => !(isPath ? areSteps : isOneStep)(readScalar(args, name) ?? ''),
  );
  if (unsafe.length > 0) return { unsafe: unsafe.map(({ name }) => name) };
  // Values beside each other, or beside a part of the template, may form a separator together.
  const areSafe = placeholders.some(({ isPath }) => isPath) ? areSteps : isOneStep;
  const filled = step.replace(placeholder, (_whole, name: string) => readScalar(args, name) ?? '');
  // A template that has a separator encoded itself means it.
  if (areSafe(step.replace(placeholder, 'x')) && !areSafe(filled))
    return { unsafe: placeholders.map(({ name }) => name) };
  return step.replace(placeholder, (_whole, name: string) => encode(args, name).replaceAll('%2F', '/'));
}

function listPlaceholders(part: string): { readonly name: string; readonly isPath: boolean }[] {
  return [...part.matchAll(placeholder)].map(([, name = '', plus]) => ({ name, isPath: plus === '+' }));
}

function readScalar(args: Readonly<Record<string, unknown>>, name: string): string | null {
  return Object.hasOwn(args, name) ? writeScalar(args[name]) : null;
}

function encode(args: Readonly<Record<string, unknown>>, name: string): string {
  return encodeURIComponent(readScalar(args, name) ?? '');
}

function splitQuery(rest: string): string[] {
  const at = rest.indexOf('?');
  return at < 0 ? [rest] : [rest.slice(0, at), rest.slice(at + 1)];
}

/** Whether a step of a path is one or two dots (WHATWG URL, "double-dot URL path segment"). */
function hasDotSegment(path: string): boolean {
  return path.split('/').some((step) => /^(\.|%2e){1,2}$/i.test(step));
}
