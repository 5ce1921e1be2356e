/** Runs so many pieces of work at the same time; the others wait in the order in which they came. */
export class FewAtOnce {
  readonly #max: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** @throws what the work throws */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#running < this.#max) this.#running += 1;
    else await new Promise<void>((begin) => this.#waiting.push(begin));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The place is handed over.
      if (next) next();
      else this.#running -= 1;
    }
  }
}
