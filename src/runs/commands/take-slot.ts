import type { Viewer } from '../../auth/viewer.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * Counts a turn that is about to start among those that are open, and takes its point of the rate limit. Both are asked for
 * together: the first token waits for one of them, not for both.
 * @param take takes the point; what it throws is thrown here, with nothing counted
 * @param giveBack gives the point back
 * @throws {RateLimitedError} if too many are open, with nothing taken
 */
export async function takeSlot<Point>(
  { openTurns }: RunRuntime,
  viewer: Viewer,
  { take, giveBack }: { readonly take: () => Promise<Point>; readonly giveBack: (point: Point) => Promise<void> },
): Promise<{ readonly point: Point } & Disposable> {
  const [slot, point] = await Promise.allSettled([openTurns.enter(viewer), take()]);
  if (slot.status === 'fulfilled' && point.status === 'fulfilled')
    return { point: point.value, [Symbol.dispose]: () => slot.value[Symbol.dispose]() };
  if (slot.status === 'fulfilled') slot.value[Symbol.dispose]();
  if (point.status === 'fulfilled') await giveBack(point.value);
  throw point.status === 'rejected'
    ? point.reason
    : slot.status === 'rejected'
      ? slot.reason
      : new Error('unreachable');
}
