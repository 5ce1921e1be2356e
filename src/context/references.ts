/** Ids that are mapped at most; further ones are hidden. */
const maxReferences = 500;
const noMoreRoom = 'ref_unknown';

/** UUIDs, with the prefix that ids of this API have or without, ULIDs, and the ObjectIds of MongoDB. */
const databaseIds =
  /(?<![\p{L}\p{N}])(?:[a-z]{2,8}_)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\p{L}\p{N}-])|(?<![\p{L}\p{N}_-])(?:[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-9a-f]{24})(?![\p{L}\p{N}_-])/giu;

/** The names of fields that hold ids: `id`, `_id`, `customer_id`, `customerId`, `memberIds`, `uuid`. */
const idField = /^(?:_?id|uuid|guid|.*(?:_ids?|[a-z0-9]Ids?|ID))$/;

/** Where a known id stands within an address: a part of its path, or a value of its query. */
const inAddress = /(?<=[/=#])[^/=#?&\s"'<>)\]]+/g;

/** Gives the ids of databases in a snapshot other names: `ref_1` and so on, in the order in which they appear. */
export class References {
  readonly #names = new Map<string, string>();

  /** The ids by reference. */
  get entries(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#names].map(([id, name]) => [name, id]));
  }

  /** The reference of an id. */
  nameOf(id: string): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    if (this.#names.size >= maxReferences) return noMoreRoom;
    const name = `ref_${this.#names.size + 1}`;
    this.#names.set(id, name);
    return name;
  }

  /** A text with references in place of what has the form of an id, and of known ids within addresses. */
  mapText(text: string): string {
    const mapped = text.replaceAll(databaseIds, (id) => this.nameOf(id));
    return mapped.replaceAll(inAddress, (part) => this.#names.get(part) ?? part);
  }

  /** A JSON value with references also in place of what fields hold whose names are those of ids. */
  mapJson(value: unknown, isId = false): unknown {
    if (typeof value === 'string' || typeof value === 'number') {
      const written = String(value);
      if (written === '') return value;
      if (isId) return this.nameOf(written);
      const known = this.#names.get(written);
      if (known !== undefined) return known;
      return typeof value === 'string' ? this.mapText(value) : value;
    }
    if (Array.isArray(value)) return value.map((item) => this.mapJson(item, isId));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([key, item]) => [this.mapText(key), this.mapJson(item, idField.test(key))]));
  }
}
