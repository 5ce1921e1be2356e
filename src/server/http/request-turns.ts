/** How many requests are begun in one turn of the event loop. */
const maxPerTurn = 8;

/** Whose request it is, as far as one can tell before anything is verified. */
export interface RequestSource {
  readonly address: string;
  /** The whole Authorization header; empty: there is none. Only clients of one address are told apart by it. */
  readonly authorization: string;
}

/** The requests of one address that wait, by their Authorization header; the one that was served last is the last. */
type AddressLine = Map<string, (() => void)[]>;

/**
 * Lets a few requests begin in each turn of the event loop, and those who wait in turn: the addresses, and the tokens of an
 * address. Whoever sends thousands at the same time waits for its own; a request of somebody else is begun in the next turn.
 */
export class RequestTurns {
  readonly #maxPerTurn: number;
  readonly #addresses = new Map<string, AddressLine>();
  #begun = 0;
  #isScheduled = false;

  constructor(perTurn = maxPerTurn) {
    this.#maxPerTurn = perTurn;
  }

  /** Waits until a request may begin; null: now. */
  wait({ address, authorization }: RequestSource): Promise<void> | null {
    if (this.#addresses.size === 0 && this.#begun < this.#maxPerTurn) {
      this.#begun += 1;
      this.#schedule();
      return null;
    }
    return new Promise((begin) => {
      const line: AddressLine = this.#addresses.get(address) ?? new Map();
      const requests = line.get(authorization) ?? [];
      requests.push(begin);
      line.set(authorization, requests);
      this.#addresses.set(address, line);
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#begun = 0;
      while (this.#addresses.size > 0 && this.#begun < this.#maxPerTurn) {
        takeNext(this.#addresses, (line) => takeNext(line, (requests) => requests.shift()?.()));
        this.#begun += 1;
      }
      if (this.#begun > 0) this.#schedule();
    });
  }
}

/** Takes from the first entry, and puts what is left of it behind the others. */
function takeNext<Line extends { readonly size: number } | { readonly length: number }>(
  lines: Map<string, Line>,
  take: (line: Line) => void,
): void {
  const [first] = lines;
  if (first === undefined) return;
  const [key, line] = first;
  lines.delete(key);
  take(line);
  const left = 'size' in line ? line.size : line.length;
  if (left > 0) lines.set(key, line);
}
