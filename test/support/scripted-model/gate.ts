/** Holds a stream at one point until a test opens it. */
export interface Gate {
  /** Resolves when a stream has come to the gate. */
  readonly reached: Promise<void>;
  /** Resolves when the gate is open. */
  readonly opened: Promise<void>;
  /** Called by the scripted model when a stream has come to it. */
  readonly arrive: () => void;
  readonly open: () => void;
}

/** Makes a gate that is closed. */
export function createGate(): Gate {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return { reached: reached.promise, opened: opened.promise, arrive: reached.resolve, open: opened.resolve };
}
