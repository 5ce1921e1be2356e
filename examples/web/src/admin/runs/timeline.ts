import type { RunDetailsFragment } from '../generated/graphql.ts';

/** A model or a tool at work, in milliseconds since the run has started. */
export interface Bar {
  readonly key: string;
  readonly kind: 'model' | 'tool';
  readonly label: string;
  /** What else there is to say of it. */
  readonly note: string | null;
  readonly start: number;
  readonly end: number;
}

type Run = Omit<RunDetailsFragment, ' $fragmentName'>;

/**
 * What a run was doing when. Tool calls have their times. A model is at work in between, that of another agent after a handoff:
 * the server does not tell the times of model calls, so one that was tried again is one bar, and the wait for an approval is
 * part of the bar before the call.
 * @param now the end of a run that goes on
 */
export function makeTimeline(run: Run, now: number): readonly Bar[] {
  if (!run.startedAt) return [];
  const origin = Date.parse(run.startedAt);
  const since = (time: string) => Math.max(0, Date.parse(time) - origin);
  const end = run.finishedAt ? since(run.finishedAt) : Math.max(0, now - origin);
  const tools = run.toolCalls.flatMap(({ id, name, status, startedAt, finishedAt, decidedBy }) => {
    // A call that was denied, or that nobody decided on, has only an end.
    const begin = startedAt ?? finishedAt;
    if (!begin) return [];
    const bar = { key: id, kind: 'tool', label: name, start: since(begin), isDecided: !!decidedBy } as const;
    return [{ ...bar, note: status === 'SUCCEEDED' ? null : status, end: finishedAt ? since(finishedAt) : end }];
  });
  tools.sort((a, b) => a.start - b.start);
  const handoffs = run.handoffs.map(({ at, fromAgent, toAgent }) => ({
    at: since(at),
    from: fromAgent.name,
    to: toAgent.name,
  }));
  const agentAt = (time: number) =>
    handoffs.findLast(({ at }) => at <= time)?.to ?? handoffs[0]?.from ?? run.agent?.name ?? 'Model';

  const bars: Bar[] = [];
  let free = 0;
  const addModel = (until: number, note: string | null) => {
    const places = [free, ...handoffs.map(({ at }) => at).filter((at) => at > free && at < until), until];
    for (const [index, start] of places.slice(0, -1).entries()) {
      const stop = places[index + 1] ?? until;
      if (stop > start)
        bars.push({ key: `model ${start}`, kind: 'model', label: agentAt(start), note, start, end: stop });
    }
  };
  for (const { isDecided, ...tool } of tools) {
    addModel(tool.start, isDecided ? 'with the wait for approval' : null);
    bars.push(tool);
    free = Math.max(free, tool.end);
  }
  const waits = run.toolCalls.some(({ status }) => status === 'AWAITING_APPROVAL');
  addModel(end, waits ? 'with the wait for approval' : null);
  return bars;
}

/** A length of time as people say it. */
export function formatTime(milliseconds: number): string {
  return milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}
