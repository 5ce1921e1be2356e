import { isIP, type LookupFunction } from 'node:net';
import { findAddressScope } from './addresses.ts';
import { createNameResolver, type Resolve } from './resolve-names.ts';

/** An address that a user may not have dialled. Nothing was sent there. The message is written for the user. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
  /** Why, as the end of a sentence: "is …". */
  readonly why: string;

  constructor(why: string) {
    super(`The address ${why}.`);
    this.why = why;
  }
}

const ports: Readonly<Record<string, string>> = { 'http:': '80', 'ws:': '80', 'https:': '443', 'wss:': '443' };

/** Names of metadata services. They would be found out by their addresses, too, where these are known. */
const metadataNames = /^(metadata|instance-data)$|^(metadata\.google|metadata\.goog|instance-data\.ec2)(\.|$)/;

const isMetadata = 'is that of a metadata service, which is never dialled';
const isPrivate = 'is private or reserved, and MODEL_ALLOWED_HOSTS does not hold it';

/**
 * Which addresses may be dialled where a user wrote the URL: of models, speech, tools. Not those of this machine, of its
 * network, or of metadata services. Checked are the URL as it is written (`explainRefusal`) and, since a name can mean
 * something else a moment later, every answer of DNS when the connection is made (`lookupFor`). No redirect is followed
 * by dial.ts: it would lead around all of this.
 */
export class AddressGuard {
  readonly #allowed: ReadonlySet<string>;
  readonly #resolve: Resolve;

  /**
   * @param allowedHosts hosts that may be dialled although they are private (MODEL_ALLOWED_HOSTS): a name or an address,
   *   for all its ports or with one, e.g. `localhost:11434`, `10.0.0.7`, `[::1]:8000`. Metadata services never are.
   * @param resolve how names are resolved, for tests
   */
  constructor(allowedHosts: readonly string[] = [], resolve: Resolve = createNameResolver()) {
    this.#allowed = new Set(allowedHosts.flatMap(readEntry));
    this.#resolve = resolve;
  }

  /**
   * What is wrong with a URL by its looks, as the end of a sentence: "is …", "has …"; null: nothing. Of a name, only
   * connecting shows where it leads.
   * @param url http, https, ws or wss
   */
  explainRefusal(url: string | URL): string | null {
    const parsed = URL.parse(url);
    if (parsed === null || ports[parsed.protocol] === undefined) return 'is no URL of http, https, ws or wss';
    if (parsed.username !== '' || parsed.password !== '') return 'has a user name or password in it';
    const host = bareHost(parsed);
    if (metadataNames.test(host)) return isMetadata;
    const reach = isIP(host) !== 0 ? findAddressScope(host) : /(^|\.)localhost$/.test(host) ? 'private' : 'public';
    return this.#explainReach(reach, parsed);
  }

  /**
   * @throws {AddressRefusedError} when a URL must not be dialled by its looks
   */
  assertAllowed(url: string | URL): void {
    const why = this.explainRefusal(url);
    if (why !== null) throw new AddressRefusedError(why);
  }

  /**
   * The `lookup` for one connection (node:http, node:net, node:tls, ws): it resolves the name once, refuses it when any
   * of its addresses is forbidden, and connects to what it has checked and nothing else. What is refused comes as an
   * AddressRefusedError out of the connection.
   * @param url what is dialled; the connection must be to its host
   * @param signal aborts when the connection is given up: a name is looked up no longer then
   * @throws {AddressRefusedError} when it must not be dialled by its looks: connections to literal addresses never ask
   *   a lookup
   */
  lookupFor(url: string | URL, signal?: AbortSignal): LookupFunction {
    this.assertAllowed(url);
    const parsed = new URL(url);
    return (hostname, { family, all }, callback) => {
      const settle = async () => {
        const found = await this.#resolve(hostname, { isOperators: this.#isAllowed(parsed), signal });
        for (const { address } of found) {
          const why = this.#explainReach(findAddressScope(address), parsed);
          if (why !== null) throw new AddressRefusedError(why);
        }
        const wanted = family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : 0;
        const fit = found.filter((entry) => wanted === 0 || entry.family === wanted);
        if (fit.length === 0) throw new Error(`The name ${hostname} has no address.`);
        return fit;
      };
      settle().then(
        (fit) => {
          if (all === true) callback(null, [...fit]);
          else callback(null, fit[0]?.address ?? '', fit[0]?.family);
        },
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), []),
      );
    };
  }

  #explainReach(reach: 'public' | 'private' | 'metadata', url: URL): string | null {
    if (reach === 'metadata') return isMetadata;
    return reach === 'public' || this.#isAllowed(url) ? null : isPrivate;
  }

  #isAllowed(url: URL): boolean {
    const host = bareHost(url);
    return this.#allowed.has(host) || this.#allowed.has(`${host} ${url.port || ports[url.protocol]}`);
  }
}

/** The host of a URL, which has written it in small letters and addresses in their usual form, without dots or brackets around it. */
function bareHost({ hostname }: URL): string {
  const bare = hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '');
  // With more than one dot at its end it was no address to the URL parser.
  return URL.parse(`http://${bare}`)?.hostname ?? bare;
}

/** An entry of the list as `host` or `host port`, in the spelling of URLs; none for what is no host. */
function readEntry(entry: string): string[] {
  const bracketed = isIP(entry) === 6 ? `[${entry}]` : entry;
  const url = URL.parse(`http://${bracketed}`);
  if (url === null) return [];
  // Not url.port, which is empty for 80.
  const port = /:(\d+)$/.exec(bracketed)?.[1];
  return [port === undefined ? bareHost(url) : `${bareHost(url)} ${Number(port)}`];
}
