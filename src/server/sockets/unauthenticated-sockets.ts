/** How many sockets may be open without a valid token. */
export interface UnauthenticatedBounds {
  readonly perAddress: number;
  readonly process: number;
}

/** Counts the sockets on which no valid token was presented yet, in all and per client address. */
export class UnauthenticatedSockets {
  readonly #bounds: UnauthenticatedBounds;
  readonly #addresses = new Map<string, number>();
  #size = 0;

  constructor(bounds: UnauthenticatedBounds) {
    this.#bounds = bounds;
  }

  /**
   * Counts one more socket until the result is disposed. A second disposal changes nothing.
   * @returns null if there are too many
   */
  enter(address: string): Disposable | null {
    const open = this.#addresses.get(address) ?? 0;
    if (open >= this.#bounds.perAddress || this.#size >= this.#bounds.process) return null;
    this.#addresses.set(address, open + 1);
    this.#size += 1;
    let counted = true;
    return {
      [Symbol.dispose]: () => {
        if (!counted) return;
        counted = false;
        this.#size -= 1;
        const remaining = (this.#addresses.get(address) ?? 1) - 1;
        if (remaining > 0) this.#addresses.set(address, remaining);
        else this.#addresses.delete(address);
      },
    };
  }
}
