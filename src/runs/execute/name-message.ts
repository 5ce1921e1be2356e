import { createHash } from 'node:crypto';

/**
 * The row id of the message that a step of a run writes. It depends on nothing else: whoever takes the run over and tries the
 * step again writes the same message, also if only readers know of it. It is a UUID of version 7 with the time of the run's.
 */
export function nameMessage(runId: string, step: number): string {
  const hash = createHash('sha256').update(`${runId} ${step}`).digest('hex');
  const variant = '89ab'.charAt(Number.parseInt(hash.charAt(0), 16) % 4);
  return `${runId.slice(0, 13)}-7${hash.slice(1, 4)}-${variant}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
}
