/** What is remembered is at most this old, in milliseconds, whatever was missed of its changes. */
const oldestMs = 30_000;
const mostTenants = 2_000;
/** Entries of one tenant: beyond them, it begins anew. */
const mostEntries = 2_000;

interface Entry {
  readonly at: number;
  readonly value: Promise<unknown>;
}

/**
 * What the turns of a tenant are compiled from, remembered: resolved agents, scenarios, tools. Any change of the tenant's
 * configuration drops all of it: by this process at once (`drop`, after the commit and before the answer), by another
 * process as soon as the database tells (database/changes.ts), by anything else after half a minute.
 */
export class ConfigCache {
  readonly #tenants = new Map<string, Map<string, Entry>>();
  readonly #now: () => number;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * What is known under a key, or else what `load` gives. Of several who ask at once one loads. A load that a change
   * overtakes is handed to those who have asked, and is not remembered.
   * @throws what `load` throws; nothing is remembered of it
   */
  async get<T>(tenantId: string, key: string, load: () => Promise<T>): Promise<T> {
    const entries = this.#entriesOf(tenantId);
    const known = entries.get(key);
    // The key says the type: nobody else loads it.
    if (known && this.#now() - known.at < oldestMs) return known.value as Promise<T>;
    const entry: Entry = { at: this.#now(), value: load() };
    if (entries.size >= mostEntries) entries.clear();
    entries.set(key, entry);
    try {
      return (await entry.value) as T;
    } catch (error) {
      if (entries.get(key) === entry) entries.delete(key);
      throw error;
    }
  }

  /** Forgets what was remembered of a tenant, and what is being loaded. */
  drop(tenantId: string): void {
    this.#tenants.delete(tenantId);
  }

  /** Forgets everything: changes may have been missed. */
  clear(): void {
    this.#tenants.clear();
  }

  #entriesOf(tenantId: string): Map<string, Entry> {
    const entries = this.#tenants.get(tenantId) ?? new Map<string, Entry>();
    this.#tenants.delete(tenantId);
    this.#tenants.set(tenantId, entries);
    const [oldest] = this.#tenants.keys();
    if (this.#tenants.size > mostTenants && oldest !== undefined) this.#tenants.delete(oldest);
    return entries;
  }
}
