import { promises as dns, type LookupAddress } from 'node:dns';
import { readFileSync, statSync } from 'node:fs';

/** What is said of a name beside the name. */
export interface NameOptions {
  /** Whether the operator wrote it (MODEL_ALLOWED_HOSTS), and not a user. */
  readonly isOperators: boolean;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Finds all addresses of a name. */
export type Resolve = (hostname: string, options: NameOptions) => Promise<readonly LookupAddress[]>;

/** How long one server of names has for its first answer, in milliseconds; the next attempt gets twice as long. */
const attemptMs = 2_000;
const attempts = 2;
/** How long a name may take altogether, in milliseconds: as long as its connection. */
const lookupMs = 10_000;
/** How long the addresses of one family wait for those of the other, in milliseconds. RFC 8305 waits for 50. */
const otherFamilyMs = 500;

const hostsPath = process.platform === 'win32' ? String.raw`C:\Windows\System32\drivers\etc\hosts` : '/etc/hosts';

/**
 * Makes what finds the addresses of names. The system's own lookup (getaddrinfo) holds one of the few threads that all
 * lookups share for as long as a server of names is silent: 20 seconds and more. A user who chooses such a server could
 * thereby stop everybody's calls. So names that users write are asked of the servers of names directly, which holds
 * no thread, after the system's file of hosts. The system looks up what no user has a server for: the operator's names,
 * and those without a dot, which are completed in the operator's own domains (Docker, Kubernetes).
 *
 * @param from.servers the servers of names as `address:port`, for tests; the system's unless set
 * @param from.hostsFile for tests
 * @throws {Error} (the promise) when there is no such name, or nobody says in ten seconds
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

/** Asks for the addresses of both families, and takes what one has where the other has none. IPv4 comes first. */
async function askServers(
  name: string,
  servers: readonly string[] | null,
  signal: AbortSignal | undefined,
): Promise<readonly LookupAddress[]> {
  signal?.throwIfAborted();
  // One for each name: what is cancelled, and what is made of a silent server, concerns no other.
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
  // No server of names is there: where the system knows names from elsewhere, it is asked after all.
  if (failures.every((failure) => codeOf(failure) === 'ECONNREFUSED')) return await dns.lookup(name, { all: true });
  if (failures.some((failure) => codeOf(failure) === 'ECANCELLED')) {
    throw new Error(`The name ${name} was not found in time.`);
  }
  // That there is no address of one kind says less than what became of the other question.
  throw failures.find((failure) => codeOf(failure) !== 'ENODATA') ?? failures[0];
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** The system's file of hosts, read again whenever it has changed. */
class HostsFile {
  readonly #path: string;
  #version = '';
  #addresses: ReadonlyMap<string, readonly LookupAddress[]> = new Map();

  constructor(path: string) {
    this.#path = path;
  }

  /** @param name in small letters; none where the file does not have it */
  find(name: string): readonly LookupAddress[] {
    try {
      // Without threads, too; it takes microseconds.
      const { mtimeMs, size } = statSync(this.#path);
      const version = `${mtimeMs} ${size}`;
      if (version !== this.#version) this.#addresses = readHosts(readFileSync(this.#path, 'utf8'));
      this.#version = version;
    } catch {
      // There need not be one.
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
