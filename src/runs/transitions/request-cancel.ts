import type { RunRuntime } from '../runtime.ts';

/**
 * Asks the process that carries out a run to cancel it. That process reads the request with its next checkpoint.
 * @returns false if no process carries it out
 */
export async function requestCancel({ db }: RunRuntime, runId: string): Promise<boolean> {
  const { count } = await db.run.updateMany({
    where: { id: runId, status: 'RUNNING' },
    data: { cancelRequestedAt: new Date() },
  });
  return count > 0;
}
