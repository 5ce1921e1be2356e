import { isIP, type LookupFunction } from 'node:net';
import { type AddressScope, findAddressScope } from './addresses.ts';
import { AllowList, bareHost, defaultPorts } from './allow-list.ts';
import { createNameResolver, type Resolve } from './resolve-names.ts';

/** Users may not have this address dialled. Nothing was sent. The message is written for the user. */
export class AddressRefusedError extends Error {
  override readonly name = 'AddressRefusedError';
  /** The reason, as the end of a sentence: "is …". */
  readonly why: string;

  constructor(why: string) {
    super(`The address ${why}.`);
    this.why = why;
  }
}

/** Names of metadata services. If their addresses are known, these are refused as well. */
const metadataNames = /^(metadata|instance-data)$|^(metadata\.google|metadata\.goog|instance-data\.ec2)(\.|$)/;

const isMetadata = 'is that of a metadata service, which is never allowed';
const isPrivate = 'is private or reserved, and MODEL_ALLOWED_HOSTS does not list it';
const isOtherPath = 'is private or reserved, and MODEL_ALLOWED_HOSTS lists its host for other paths only';

/** Says which paths are listed, and what to do: base URLs of model servers are often written without their path. */
function explainPath(paths: readonly string[]): string {
  const listed = paths.join(', ');
  return `${isOtherPath} (${listed}): write the URL with ${paths.length === 1 ? 'that path' : 'one of these paths'}, or list this one`;
}

/**
 * Decides which addresses may be dialled if a user wrote the URL: of models, speech and tools. Addresses of this machine,
 * of its network and of metadata services may not. It checks the URL as it is written (`explainRefusal`) and, because a
 * name can resolve differently a moment later, every address that DNS returns when the connection is made (`lookupFor`).
 * dial.ts follows no redirects, which would bypass all of this.
 *
 * It is our own because the packages for this (request-filtering-agent, ssrf-req-filter) know neither addresses inside
 * IPv6 nor an allow list with ports, and do not connect to exactly the address that they have checked.
 */
export class AddressGuard {
  readonly #allowed: AllowList;
  readonly #resolve: Resolve;

  /**
   * @param allowedHosts what may be dialled although it is private (MODEL_ALLOWED_HOSTS), e.g. `localhost:11434`,
   *   `10.0.0.7/api`, `[::1]:8000/`; see allow-list.ts. Metadata services never may.
   * @param resolve how names are resolved, for tests
   */
  constructor(allowedHosts: readonly string[] = [], resolve: Resolve = createNameResolver()) {
    this.#allowed = new AllowList(allowedHosts);
    this.#resolve = resolve;
  }

  /**
   * What is wrong with a URL as it is written, as the end of a sentence: "is …", "has …"; null: nothing. The addresses of
   * a name are only known when it is dialled.
   * @param url http, https, ws or wss; with the path that is to be requested
   */
  explainRefusal(url: string | URL): string | null {
    const parsed = URL.parse(url);
    if (parsed === null || defaultPorts[parsed.protocol] === undefined) return 'is not a URL of http, https, ws or wss';
    if (parsed.username !== '' || parsed.password !== '') return 'has a user name or password in it';
    const host = bareHost(parsed);
    if (metadataNames.test(host)) return isMetadata;
    const scope = isIP(host) !== 0 ? findAddressScope(host) : /(^|\.)localhost$/.test(host) ? 'private' : 'public';
    return this.#explainScope(scope, parsed);
  }

  /**
   * @throws {AddressRefusedError} if the URL as it is written must not be dialled
   */
  assertAllowed(url: string | URL): void {
    const why = this.explainRefusal(url);
    if (why !== null) throw new AddressRefusedError(why);
  }

  /**
   * The `lookup` for one connection (node:http, node:net, node:tls, ws): it resolves the name once, refuses it if any of
   * its addresses is forbidden, and connects to an address that was checked. A refusal ends the connection with an
   * AddressRefusedError.
   * @param url the URL to dial; the connection must be to its host
   * @param signal aborts the lookup if the connection is given up
   * @throws {AddressRefusedError} if the URL as it is written must not be dialled: connections to literal addresses do
   *   not use the lookup
   */
  lookupFor(url: string | URL, signal?: AbortSignal): LookupFunction {
    this.assertAllowed(url);
    const parsed = new URL(url);
    return (hostname, { family, all }, callback) => {
      const resolveAllowed = async () => {
        const found = await this.#resolve(hostname, { isOperators: this.#allowed.pathsAt(parsed).length > 0, signal });
        for (const { address } of found) {
          const why = this.#explainScope(findAddressScope(address), parsed);
          if (why !== null) throw new AddressRefusedError(why);
        }
        const wanted = family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : 0;
        const usable = found.filter((entry) => wanted === 0 || entry.family === wanted);
        if (usable.length === 0) throw new Error(`The name ${hostname} has no address.`);
        return usable;
      };
      resolveAllowed().then(
        (usable) => {
          if (all === true) callback(null, [...usable]);
          else callback(null, usable[0]?.address ?? '', usable[0]?.family);
        },
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), []),
      );
    };
  }

  /**
   * Whether the operator listed it: it may then lead to a private address. A connection that was made for such a URL must
   * not be used for others.
   */
  isListed(url: string | URL): boolean {
    return this.#allowed.has(new URL(url));
  }

  #explainScope(scope: AddressScope, url: URL): string | null {
    if (scope === 'metadata') return isMetadata;
    if (scope === 'public' || this.#allowed.has(url)) return null;
    const paths = this.#allowed.pathsAt(url);
    return paths.length === 0 ? isPrivate : explainPath(paths);
  }
}
