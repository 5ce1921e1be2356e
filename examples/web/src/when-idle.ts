/**
 * Does what can wait when the browser has nothing to do between two frames.
 * @param withinMs after which it is done in any case
 */
export function whenIdle(work: () => void, withinMs: number): void {
  if ('requestIdleCallback' in globalThis) requestIdleCallback(work, { timeout: withinMs });
  else setTimeout(work, 100);
}
