/** A URL in which {name} stands for an argument, taken apart. Host and scheme are fixed. */
export interface UrlTemplate {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query, placeholders as they were written. */
  readonly rest: string;
  /** The names that stand in it. */
  readonly names: ReadonlySet<string>;
  /** Names of query parameters that are fixed, or that a placeholder fills: an argument cannot add to them. */
  readonly taken: ReadonlySet<string>;
}

const placeholder = /\{([A-Za-z_][A-Za-z0-9_-]{0,63})\}/g;
const maxUrlLength = 8_000;

/**
 * Takes a URL template apart.
 * @returns the template, or what is wrong with it as the end of a sentence
 */
export function parseTemplate(url: string): UrlTemplate | string {
  const [, base = '', rest = ''] = /^(https?:\/\/[^/?#]*)(.*)$/is.exec(url) ?? [];
  if (base === '') return 'must be a URL that begins with https:// or http://';
  if (/[{}]/.test(base)) return 'must not have a placeholder in its host: only in path and query';
  if (rest.includes('#')) return 'must not have a fragment';
  if (/[^\x21-\x7e]|\\/.test(url)) return 'must hold visible ASCII characters only, and no backslash';
  if (/[{}]/.test(rest.replace(placeholder, ''))) return 'has a brace that is no placeholder like {orderNumber}';
  const filled = URL.parse(base + rest.replace(placeholder, 'x'));
  if (filled === null || filled.hostname === '') return 'must be a URL that begins with https:// or http://';
  if (filled.username !== '' || filled.password !== '') {
    return 'must not have a user name or password in it: give them as a secret header';
  }
  const [path = '', query = ''] = splitQuery(rest);
  if (hasDotSegment(path)) return 'must not have . or .. as a step of its path';
  const names = new Set([...rest.matchAll(placeholder)].map(([, name = '']) => name));
  const taken = new Set(new URLSearchParams(query.replace(placeholder, 'x')).keys());
  return { origin: filled.origin, rest: rest === '' ? '/' : rest, names, taken };
}

/** An argument as it stands in a URL. Null: it cannot. */
export function writeScalar(value: unknown): string | null {
  if (typeof value === 'string') return value.isWellFormed() ? value : null;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

/**
 * Fills a template: each argument percent-encoded, so that none adds a step, a parameter or another host.
 * @param query what else goes into the query, in order
 * @returns the URL, or an error for the model
 */
export function fillTemplate(
  template: UrlTemplate,
  args: Readonly<Record<string, unknown>>,
  query: readonly (readonly [name: string, value: string])[],
): URL | string {
  const wrong: string[] = [];
  const fill = (part: string, mayBeEmpty: boolean) =>
    part.replace(placeholder, (_whole, name: string) => {
      const value = Object.hasOwn(args, name) ? writeScalar(args[name]) : null;
      if (value === null || (value === '' && !mayBeEmpty)) wrong.push(name);
      return encodeURIComponent(value ?? '');
    });
  const [path = '', written = ''] = splitQuery(template.rest);
  const filledPath = fill(path, false);
  const filledQuery = fill(written, true);
  if (wrong.length > 0) return `The arguments need ${wrong.join(', ')}: a text, a number or a boolean, and not empty.`;
  if (hasDotSegment(filledPath)) return 'An argument must not make . or .. a step of the path.';
  const added = new URLSearchParams(query.map(([name, value]) => [name, value])).toString();
  const search = [filledQuery, added].filter((part) => part !== '').join('&');
  const url = URL.parse(`${template.origin}${filledPath}${search === '' ? '' : `?${search}`}`);
  if (url === null || url.origin !== template.origin) return 'The arguments make no URL.';
  return url.href.length > maxUrlLength ? 'The arguments are too long for a URL.' : url;
}

function splitQuery(rest: string): string[] {
  const at = rest.indexOf('?');
  return at < 0 ? [rest] : [rest.slice(0, at), rest.slice(at + 1)];
}

/** Whether a step of a path is a dot or two, in any spelling (WHATWG URL, "double-dot URL path segment"). */
function hasDotSegment(path: string): boolean {
  return path.split('/').some((step) => /^(\.|%2e){1,2}$/i.test(step));
}
