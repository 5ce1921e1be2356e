/** A simulated installation: turns that begin at random, and as many places as its instances have. */
export interface SimulatedLoad {
  readonly turnsPerSecond: number;
  /** How long a turn lasts if it need not wait, in seconds. */
  readonly turnSeconds: number;
  /** Turns that are carried out at the same time at most; the others wait in the order in which they came. */
  readonly places: number;
  readonly seconds: number;
  /** The same seed gives the same arrivals. */
  readonly seed: number;
}

/** What a simulation has counted. */
export interface Simulated {
  readonly turns: number;
  readonly averageAtOnce: number;
  readonly maxAtOnce: number;
  /** The part of the turns that had to wait for a place. */
  readonly waited: number;
  readonly averageWaitSeconds: number;
}

/** Simulates a queue with Poisson arrivals and one length of service (M/D/c), turn by turn. No clock is involved. */
export function simulateLoad({ turnsPerSecond, turnSeconds, places, seconds, seed }: SimulatedLoad): Simulated {
  const random = createRandom(seed);
  /** When each place is free again. */
  const free = new Array<number>(places).fill(0);
  const changes: { readonly at: number; readonly by: 1 | -1 }[] = [];
  let waited = 0;
  let waits = 0;
  let turns = 0;
  for (let at = nextArrival(0); at < seconds; at = nextArrival(at)) {
    let first = 0;
    for (let place = 1; place < places; place += 1) if ((free[place] ?? 0) < (free[first] ?? 0)) first = place;
    const begins = Math.max(at, free[first] ?? 0);
    free[first] = begins + turnSeconds;
    turns += 1;
    if (begins > at) waited += 1;
    waits += begins - at;
    changes.push({ at: begins, by: 1 }, { at: begins + turnSeconds, by: -1 });
  }
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let open = 0;
  let maxAtOnce = 0;
  for (const { by } of changes) {
    open += by;
    maxAtOnce = Math.max(maxAtOnce, open);
  }
  return {
    turns,
    averageAtOnce: (turns * turnSeconds) / seconds,
    maxAtOnce,
    waited: turns === 0 ? 0 : waited / turns,
    averageWaitSeconds: turns === 0 ? 0 : waits / turns,
  };

  function nextArrival(after: number): number {
    return after - Math.log(1 - random()) / turnsPerSecond;
  }
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
