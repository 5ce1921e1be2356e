import { isIP } from 'node:net';
import { isOneStep } from './path-steps.ts';

/** The path of an entry without one: that of the API of a local model server. Its other paths administer it. */
const defaultPath = '/v1';

/** The port that a URL means if it names none. */
export const defaultPorts: Readonly<Record<string, string>> = {
  'http:': '80',
  'ws:': '80',
  'https:': '443',
  'wss:': '443',
};

/**
 * The hosts that may be dialled although they are private (MODEL_ALLOWED_HOSTS). An entry is `host`, `host:port` or
 * either with a path: a name or an address, for all ports or for one, and for the paths that begin with the path; without
 * one, with `/v1`. `/` allows all paths.
 */
export class AllowList {
  /** The paths by `host` and by `host port`, each without a slash at its end. */
  readonly #paths = new Map<string, readonly string[]>();

  /** Entries that are not valid allow nothing; config/variables.ts reports them. */
  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const read = readEntry(entry);
      if (read !== null) this.#paths.set(read.host, [...(this.#paths.get(read.host) ?? []), read.path]);
    }
  }

  /** The paths that are allowed at the host and port of a URL. */
  pathsAt(url: URL): readonly string[] {
    const host = bareHost(url);
    const port = url.port || defaultPorts[url.protocol];
    return [host, `${host} ${port}`].flatMap((key) => this.#paths.get(key) ?? []).map((path) => path || '/');
  }

  /** Whether it lists the host, the port and the path of a URL. */
  has(url: URL): boolean {
    return this.pathsAt(url).some((path) => isUnder(path, url.pathname));
  }
}

/**
 * Whether a path is an allowed one or below it. A step that a server may read as `..` or as several steps, however it
 * decodes it, could lead out again: such a path is not below.
 * @param pathname of a parsed URL, which has resolved `.` and `..`, also as `%2e`
 */
function isUnder(allowed: string, pathname: string): boolean {
  if (allowed === '/' || pathname === allowed) return true;
  if (!pathname.startsWith(`${allowed}/`)) return false;
  const rest = pathname.slice(allowed.length + 1);
  return rest === '' || rest.replace(/\/$/, '').split('/').every(isOneStep);
}

/** The host of a URL without brackets and without dots at its end. The URL parser has normalised its case and its addresses. */
export function bareHost({ hostname }: URL): string {
  const bare = hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '');
  // With more than one dot at its end, the URL parser did not recognise an address.
  return URL.parse(`http://${bare}`)?.hostname ?? bare;
}

/** An entry as `host` or `host port`, spelled as in URLs, and its path; null if it is not an entry. */
function readEntry(entry: string): { readonly host: string; readonly path: string } | null {
  const [, authority = '', path = defaultPath] = /^([^/]*)(\/.*)?$/.exec(entry) ?? [];
  const bracketed = isIP(authority) === 6 ? `[${authority}]` : authority;
  const url = URL.parse(`http://${bracketed}`);
  if (url === null) return null;
  // Not url.port, which is empty for 80.
  const port = /:(\d+)$/.exec(bracketed)?.[1];
  const host = port === undefined ? bareHost(url) : `${bareHost(url)} ${Number(port)}`;
  return { host, path: path.replace(/\/+$/, '') };
}
