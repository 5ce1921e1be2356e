import { type Bar, formatTime } from './timeline.ts';

/** Models, tools and waits as bars over the time of the run. What the bars show stands beside them as text. */
export function Timeline({ bars }: { readonly bars: readonly Bar[] }) {
  const end = Math.max(1, ...bars.map((bar) => bar.end));
  if (bars.length === 0) return <p className="muted">Nothing was at work yet.</p>;
  const percent = (time: number) => `${(time / end) * 100}%`;
  return (
    <ol className="timeline">
      {bars.map(({ key, kind, label, note, start, end: stop }) => (
        <li key={key}>
          <span className="timeline-label" dir="auto">
            <span className="hint">{kind}</span> {label}
          </span>
          <span className="timeline-track" aria-hidden="true">
            <span
              className="timeline-bar"
              data-kind={kind}
              style={{ insetInlineStart: percent(start), inlineSize: percent(stop - start) }}
            />
          </span>
          <span className="timeline-time">
            {formatTime(stop - start)} <span className="hint">from {formatTime(start)} on</span>
            {note && <span className="hint">, {note}</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}
