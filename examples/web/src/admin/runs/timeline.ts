import type { RunTimesFragment } from '../generated/graphql.ts';

/** A model or a tool at work, or the wait for an approval, in milliseconds since the run has started. */
export interface Bar {
  readonly key: string;
  readonly kind: 'model' | 'tool' | 'approval';
  readonly label: string;
  /** What else there is to say of it. */
  readonly note: string | null;
  readonly start: number;
  readonly end: number;
}

type Run = Pick<RunTimesFragment, 'startedAt' | 'finishedAt' | 'spans'>;

const kinds = { MODEL: 'model', TOOL: 'tool', APPROVAL: 'approval' } as const;

/**
 * What a run was doing when. A model call is known when it has ended.
 * @param now the end of what goes on
 */
export function makeTimeline({ startedAt, finishedAt, spans }: Run, now: number): readonly Bar[] {
  if (!startedAt) return [];
  const origin = Date.parse(startedAt);
  const since = (time: string) => Math.max(0, Date.parse(time) - origin);
  const end = finishedAt ? since(finishedAt) : Math.max(0, now - origin);
  return spans.map((span, index) => {
    const start = since(span.startedAt);
    return {
      key: `${index} ${span.startedAt}`,
      kind: kinds[span.kind],
      label: span.kind === 'MODEL' ? (span.agent?.name ?? span.name) : span.name,
      note: noteOf(span),
      start,
      end: Math.max(start, span.finishedAt ? since(span.finishedAt) : end),
    };
  });
}

function noteOf({ kind, name, tokens, toolStatus, finishedAt }: Run['spans'][number]): string | null {
  if (kind === 'MODEL') return tokens == null ? name : `${name}, ${tokens.toLocaleString()} tokens`;
  if (kind === 'APPROVAL') return finishedAt ? 'waited for the user' : 'waits for the user';
  return toolStatus == null || toolStatus === 'SUCCEEDED' ? null : toolStatus;
}

/** A length of time as people say it. */
export function formatTime(milliseconds: number): string {
  return milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}
