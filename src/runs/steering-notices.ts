import type { RunRuntime } from './runtime.ts';

/**
 * Tells the run of a conversation that a message waits to join it, if this process carries the run out: it looks at the rows
 * before its next model step.
 * @returns whether it does
 */
export function noteSteering({ running }: Pick<RunRuntime, 'running'>, conversationId: string): boolean {
  let isOurs = false;
  for (const { run, progress } of running.values()) {
    if (run.conversationId !== conversationId) continue;
    progress.steering.note(true);
    isOurs = true;
  }
  return isOurs;
}

/** Tells all processes that it was decided what happens to messages that waited in a conversation. */
export function announceJoined(
  { joining, remote }: Pick<RunRuntime, 'joining' | 'remote'>,
  conversationId: string,
): void {
  joining.wake(conversationId);
  remote.announce({ type: 'joined', conversationId });
}
