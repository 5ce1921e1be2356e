import { afterEach } from 'vitest';

// When a test fails, and something that it opened then fails to close, both errors are in one whose message says neither.
// Here they are added to its stack, which is what reports show.
afterEach(({ task }) => {
  for (const error of task.result?.errors ?? []) error.stack = unfold(error);
});

function unfold(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  const { stack, message, suppressed, error: later }: Partial<Record<string, unknown>> = { ...error };
  const own = String(('stack' in error ? error.stack : undefined) ?? stack ?? message ?? error);
  if (suppressed === undefined) return own;
  return `${unfold(suppressed)}\n  and then, when everything was closed: ${unfold(later)}`;
}
