import { promises as dns, type LookupAddress } from 'node:dns';
import { readFileSync, statSync } from 'node:fs';

/** How a name is to be resolved. */
interface NameOptions {
  /** Whether the operator wrote it (MODEL_ALLOWED_HOSTS), and not a user. */
  readonly isOperators: boolean;
  /** Aborts when nobody waits for the result any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Finds all addresses of a name. */
export type Resolve = (hostname: string, options: NameOptions) => Promise<readonly LookupAddress[]>;

/** How long one DNS server has to answer the first attempt, in milliseconds; the next attempt gets twice as long. */
const attemptMs = 2_000;
const attempts = 2;
/** How long a lookup may take altogether, in milliseconds: as long as a connection. */
const lookupMs = 10_000;
/** How long the addresses of one family wait for those of the other, in milliseconds. RFC 8305 waits for 50. */
const otherFamilyMs = 500;

const hostsPath = process.platform === 'win32' ? String.raw`C:\Windows\System32\drivers\etc\hosts` : '/etc/hosts';

/**
 * Creates a resolver of names. The system's own lookup (getaddrinfo, which dns.lookup uses) occupies one of the few
 * threads that all lookups share while a DNS server is silent: 20 seconds and more. With such a server a user could block
 * every other call. Names that users write are therefore resolved by DNS directly, which occupies no thread, after
 * /etc/hosts. The system resolves only the operator's names and names without a dot, which are completed in the
 * operator's own domains (Docker, Kubernetes).
 *
 * @param from.servers DNS servers as `address:port`, for tests; by default the system's
 * @param from.hostsFile for tests
 * @throws {Error} (the promise) if the name does not exist, or no server answers within ten seconds
 */
export function createNameResolver(
  from: { readonly servers?: readonly string[]; readonly hostsFile?: string } = {},
): Resolve {
  const hosts = new HostsFile(from.hostsFile ?? hostsPath);
  return async (hostname, { isOperators, signal }) => {
    const name = hostname.toLowerCase().replace(/\.$/, '');
    if (isOperators || !name.includes('.')) return await dns.lookup(hostname, { all: true });
    const written = hosts.find(name);
    if (written.length > 0) return written;
    return await askServers(name, from.servers ?? null, signal);
  };
}

/** Asks for the addresses of both families; one family is enough. IPv4 comes first. */
async function askServers(
  name: string,
  servers: readonly string[] | null,
  signal: AbortSignal | undefined,
): Promise<readonly LookupAddress[]> {
  signal?.throwIfAborted();
  // A resolver for each name, so that cancelling one lookup does not affect another.
  const resolver = new dns.Resolver({ timeout: attemptMs, tries: attempts });
  if (servers) resolver.setServers(servers);
  const cancel = () => resolver.cancel();
  const timers = [setTimeout(cancel, lookupMs)];
  signal?.addEventListener('abort', cancel, { once: true });
  const found: LookupAddress[] = [];
  const failures: unknown[] = [];
  const ask = async (family: 4 | 6) => {
    try {
      const addresses = await (family === 4 ? resolver.resolve4(name) : resolver.resolve6(name));
      found.push(...addresses.map((address) => ({ address, family })));
      timers.push(setTimeout(cancel, otherFamilyMs));
    } catch (error) {
      failures.push(error);
    }
  };
  try {
    await Promise.all([ask(4), ask(6)]);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
  signal?.throwIfAborted();
  if (found.length > 0) return found.sort((one, other) => one.family - other.family);
  // No DNS server is running. The system may know names from elsewhere.
  if (failures.every((failure) => codeOf(failure) === 'ECONNREFUSED')) return await dns.lookup(name, { all: true });
  if (failures.some((failure) => codeOf(failure) === 'ECANCELLED')) {
    throw new Error(`The name ${name} was not found in time.`);
  }
  // That one family has no address says less than the failure of the other family.
  throw failures.find((failure) => codeOf(failure) !== 'ENODATA') ?? failures[0];
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** The system's file of hosts, read again when it has changed. */
class HostsFile {
  readonly #path: string;
  #version = '';
  #addresses: ReadonlyMap<string, readonly LookupAddress[]> = new Map();

  constructor(path: string) {
    this.#path = path;
  }

  /** @param name in lower case; an empty list if the file does not have it */
  find(name: string): readonly LookupAddress[] {
    try {
      // Synchronous, so that it needs no thread either; it takes microseconds.
      const { mtimeMs, size } = statSync(this.#path);
      const version = `${mtimeMs} ${size}`;
      if (version !== this.#version) this.#addresses = readHosts(readFileSync(this.#path, 'utf8'));
      this.#version = version;
    } catch {
      // The file is optional.
      return [];
    }
    return this.#addresses.get(name) ?? [];
  }
}

function readHosts(text: string): ReadonlyMap<string, readonly LookupAddress[]> {
  const addresses = new Map<string, LookupAddress[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/s, '').trim().split(/\s+/);
    for (const name of names) {
      const key = name.toLowerCase();
      addresses.set(key, [...(addresses.get(key) ?? []), { address, family: address.includes(':') ? 6 : 4 }]);
    }
  }
  return addresses;
}
