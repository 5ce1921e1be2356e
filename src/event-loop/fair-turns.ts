/** The size of a piece of work; a function, if it can grow while it waits. */
export type Units = number | (() => number);

interface Piece {
  readonly units: Units;
  readonly begin: () => void;
}

/** The work of one group that waits, by its member; the one that was served last is the last. */
type GroupLine = Map<string, Piece[]>;

/**
 * Lets work begin a little in each turn of the event loop, and those who wait in turn: the groups, and the members of a group.
 * Whoever has thousands of pieces waits for its own; a piece of somebody else begins in the next turn. Work that is begun
 * together is done in one turn, however long that takes, and everybody else waits for it.
 */
export class FairTurns {
  readonly #unitsPerTurn: number;
  readonly #groups = new Map<string, GroupLine>();
  #used = 0;
  #isScheduled = false;

  /** @param unitsPerTurn requests, or bytes */
  constructor(unitsPerTurn: number) {
    this.#unitsPerTurn = unitsPerTurn;
  }

  /**
   * Waits until a piece of work may begin; null: now. The first of a turn may be of any size.
   * @param group such as an address or a tenant
   * @param member of the group, such as a token or a user
   */
  wait(group: string, member: string, units: Units = 1): Promise<void> | null {
    const now = countUnits(units);
    if (this.#groups.size === 0 && this.#fits(now)) {
      this.#use(now);
      return null;
    }
    return new Promise((begin) => {
      const line: GroupLine = this.#groups.get(group) ?? new Map();
      const pieces = line.get(member) ?? [];
      pieces.push({ units, begin });
      line.set(member, pieces);
      this.#groups.set(group, line);
      this.#schedule();
    });
  }

  #fits(units: number): boolean {
    return this.#used === 0 || this.#used + units <= this.#unitsPerTurn;
  }

  #use(units: number): void {
    this.#used += units;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#used = 0;
      for (let next = this.#next(); next; next = this.#next()) {
        const units = countUnits(next.units);
        if (!this.#fits(units)) break;
        takeFirst(this.#groups, (line) => takeFirst(line, (pieces) => pieces.shift()));
        this.#use(units);
        next.begin();
      }
    });
  }

  #next(): Piece | undefined {
    const [line] = this.#groups.values();
    const [pieces] = line?.values() ?? [];
    return pieces?.[0];
  }
}

const countUnits = (units: Units): number => (typeof units === 'number' ? units : units());

/** Takes from the first entry, and puts what is left of it behind the others. */
function takeFirst<Line extends { readonly size: number } | { readonly length: number }>(
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
