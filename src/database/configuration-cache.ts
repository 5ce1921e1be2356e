/** What is remembered is at most this old, in milliseconds, whatever was missed of its changes. */
const maxAgeMs = 30_000;
/** Entries of all tenants together. */
const maxEntries = 20_000;
/** Entries of one tenant: beyond them, its oldest ones go. */
const maxEntriesOfTenant = 2_000;
/** Characters of all entries together, as `estimateSize` counts them: some 30 to 60 MB. */
const maxCharacters = 32_000_000;

interface Entry {
  readonly at: number;
  readonly value: Promise<unknown>;
  /** Characters; 0 while it is being loaded. */
  size: number;
}

/**
 * What the turns of a tenant are compiled from, remembered: resolved agents, scenarios, tools. Any change of the tenant's
 * configuration drops all of it: by this process at once (`drop`, after the commit and before the answer), by another
 * process as soon as the database tells (database/changes.ts), by anything else after half a minute. What is older is
 * taken out of memory, where nobody asks for it as well: it holds opened keys. Disposing of it stops that.
 */
export class ConfigurationCache implements Disposable {
  /** By tenant, the one that was asked for longest ago first; in it by key, the oldest first. */
  readonly #tenants = new Map<string, Map<string, Entry>>();
  readonly #now: () => number;
  readonly #sweeping: NodeJS.Timeout;
  #entries = 0;
  #characters = 0;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#sweeping = setInterval(() => this.sweep(), maxAgeMs).unref();
  }

  /** How much is remembered now, of all tenants. */
  get held(): { readonly entries: number; readonly characters: number } {
    return { entries: this.#entries, characters: this.#characters };
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
    if (known && this.#isFresh(known)) return known.value as Promise<T>;
    this.#remove(tenantId, key);
    const entry: Entry = { at: this.#now(), value: load(), size: 0 };
    entries.set(key, entry);
    // An emptied tenant is taken out.
    this.#tenants.set(tenantId, entries);
    this.#entries += 1;
    this.#makeRoom(tenantId);
    try {
      const value = (await entry.value) as T;
      if (this.#isHeld(tenantId, key, entry)) {
        entry.size = estimateSize(value);
        this.#characters += entry.size;
        this.#makeRoom(tenantId);
      }
      return value;
    } catch (error) {
      if (this.#isHeld(tenantId, key, entry)) this.#remove(tenantId, key);
      throw error;
    }
  }

  /** Forgets what was remembered of a tenant, and what is being loaded. */
  drop(tenantId: string): void {
    for (const entry of this.#tenants.get(tenantId)?.values() ?? []) this.#discount(entry);
    this.#tenants.delete(tenantId);
  }

  /** Forgets everything: changes may have been missed. */
  clear(): void {
    this.#tenants.clear();
    this.#entries = 0;
    this.#characters = 0;
  }

  /** Forgets what is too old to be handed out; happens by itself every half a minute. */
  sweep(): void {
    for (const [tenantId, entries] of this.#tenants) {
      for (const [key, entry] of entries) if (!this.#isFresh(entry)) this.#remove(tenantId, key);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeping);
    this.clear();
  }

  #isFresh({ at }: Entry): boolean {
    return this.#now() - at < maxAgeMs;
  }

  #isHeld(tenantId: string, key: string, entry: Entry): boolean {
    return this.#tenants.get(tenantId)?.get(key) === entry;
  }

  #entriesOf(tenantId: string): Map<string, Entry> {
    const entries = this.#tenants.get(tenantId) ?? new Map<string, Entry>();
    this.#tenants.delete(tenantId);
    this.#tenants.set(tenantId, entries);
    return entries;
  }

  #remove(tenantId: string, key: string): void {
    const entries = this.#tenants.get(tenantId);
    const entry = entries?.get(key);
    if (entries === undefined || entry === undefined) return;
    entries.delete(key);
    this.#discount(entry);
    if (entries.size === 0) this.#tenants.delete(tenantId);
  }

  #discount({ size }: Entry): void {
    this.#entries -= 1;
    this.#characters -= size;
  }

  /** The oldest of a tenant that has too many goes, and of all together those of who was not asked for longest. */
  #makeRoom(tenantId: string): void {
    const entries = this.#tenants.get(tenantId);
    if (entries !== undefined && entries.size > maxEntriesOfTenant) this.#removeFirst(tenantId, entries);
    while (this.#entries > maxEntries || this.#characters > maxCharacters) {
      const [first] = this.#tenants;
      if (first === undefined) return;
      this.#removeFirst(...first);
    }
  }

  #removeFirst(tenantId: string, entries: ReadonlyMap<string, Entry>): void {
    const [key] = entries.keys();
    if (key === undefined) this.#tenants.delete(tenantId);
    else this.#remove(tenantId, key);
  }
}

/** How many values are looked at: what has more is not of this cache's kind. */
const maxValues = 10_000;

/** About how many characters a value holds: its texts and names, and a few for each value. */
function estimateSize(value: unknown): number {
  let size = 0;
  let seen = 0;
  const open: unknown[] = [value];
  while (open.length > 0 && seen < maxValues) {
    const next = open.pop();
    seen += 1;
    size += 16;
    if (typeof next === 'string') size += next.length;
    else if (next instanceof Map) for (const [name, item] of next) open.push(name, item);
    else if (typeof next === 'object' && next !== null) for (const item of Object.values(next)) open.push(item);
  }
  return size;
}
