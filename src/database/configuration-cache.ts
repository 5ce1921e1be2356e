import { LRUCache } from 'lru-cache';

/** How long a value may be used, in milliseconds, even if the notice of a change was missed. */
const maxAgeMs = 30_000;
/** Entries of all tenants together. */
const maxEntries = 20_000;
/** Entries of one tenant: beyond them, its oldest ones are removed. */
const maxEntriesOfTenant = 2_000;
/** Characters of all entries together, as `estimateSize` counts them: some 30 to 60 MB. */
const maxCharacters = 32_000_000;

interface Entry {
  readonly tenantId: string;
  readonly value: Promise<unknown>;
}

/**
 * Caches what the turns of a tenant are compiled from: resolved agents, scenarios, tools. A change of the tenant's
 * configuration drops all of it: in this process before the mutation returns (`drop`), in other processes as soon as the
 * database notifies them (database/changes.ts), and after half a minute in any case. Values that are too old are removed
 * from memory even if nobody asks for them, because they hold decrypted keys; disposing of the cache stops that.
 *
 * Its own part, beside lru-cache, is the index by tenant, and that a change overtakes a load: what was being loaded during
 * a change is returned to those who asked before it, and to nobody after it.
 */
export class ConfigurationCache implements Disposable {
  readonly #entries: LRUCache<string, Entry>;
  /** The keys in the cache, by tenant, the oldest first. */
  readonly #keysByTenant = new Map<string, Set<string>>();
  readonly #now: () => number;
  readonly #sweeping: NodeJS.Timeout;

  /** @param now milliseconds of a clock that only goes forward, from 1 on */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#entries = new LRUCache({
      max: maxEntries,
      maxSize: maxCharacters,
      // lru-cache keeps what is exactly as old as its ttl.
      ttl: maxAgeMs - 1,
      ttlResolution: 0,
      perf: { now },
      dispose: ({ tenantId }, key, reason) => {
        if (reason !== 'set') this.#removeFromIndex(tenantId, key);
      },
    });
    this.#sweeping = setInterval(() => this.#entries.purgeStale(), maxAgeMs).unref();
  }

  /** How much is cached now, of all tenants together. */
  get size(): { readonly entries: number; readonly characters: number } {
    return { entries: this.#entries.size, characters: this.#entries.calculatedSize };
  }

  /**
   * Returns what is cached under a key, or else what `load` returns. If several ask at the same time, one loads.
   * @throws what `load` throws; a failure is not cached
   */
  async get<T>(tenantId: string, key: string, load: () => Promise<T>): Promise<T> {
    const entryKey = JSON.stringify([tenantId, key]);
    const cached = this.#entries.get(entryKey);
    // A key is always loaded by the same kind of caller: the key determines the type.
    if (cached) return cached.value as Promise<T>;
    const start = this.#now();
    const value = load();
    const entry: Entry = { tenantId, value };
    this.#entries.set(entryKey, entry, { start, size: 1 });
    this.#addToIndex(tenantId, entryKey);
    const isCurrent = () => this.#entries.peek(entryKey) === entry;
    try {
      const loaded = await value;
      const size = estimateSize(loaded);
      if (isCurrent() && size > maxCharacters) this.#entries.delete(entryKey);
      if (isCurrent()) this.#entries.set(entryKey, { tenantId, value }, { start, size });
      return loaded;
    } catch (error) {
      if (isCurrent()) this.#entries.delete(entryKey);
      throw error;
    }
  }

  /** Removes what is cached of a tenant, and what is being loaded. */
  drop(tenantId: string): void {
    for (const key of [...(this.#keysByTenant.get(tenantId) ?? [])]) this.#entries.delete(key);
  }

  /** Removes everything: the notice of a change may have been missed. */
  clear(): void {
    this.#entries.clear();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeping);
    this.clear();
  }

  #addToIndex(tenantId: string, key: string): void {
    const keys = this.#keysByTenant.get(tenantId) ?? new Set();
    this.#keysByTenant.set(tenantId, keys.add(key));
    const [oldest] = keys;
    if (keys.size > maxEntriesOfTenant && oldest !== undefined) this.#entries.delete(oldest);
  }

  #removeFromIndex(tenantId: string, key: string): void {
    const keys = this.#keysByTenant.get(tenantId);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysByTenant.delete(tenantId);
  }
}

/** How many values are counted: nothing that is cached here has more. */
const maxValues = 10_000;

/** About how many characters a value holds: its texts and names, and a few for each value. */
function estimateSize(value: unknown): number {
  let size = 0;
  let count = 0;
  const open: unknown[] = [value];
  while (open.length > 0 && count < maxValues) {
    const next = open.pop();
    count += 1;
    size += 16;
    if (typeof next === 'string') size += next.length;
    else if (next instanceof Map) for (const [name, item] of next) open.push(name, item);
    else if (typeof next === 'object' && next !== null) for (const item of Object.values(next)) open.push(item);
  }
  return size;
}
