import { useEffect, useRef } from 'react';
import { layOut, nodeHeight, nodeWidth } from './graph-layout.ts';
import type { ScenarioDraft } from './scenario-draft.ts';

interface GraphProps {
  readonly draft: Pick<ScenarioDraft, 'members' | 'rootAgentId'>;
  readonly nameOf: (agentId: string) => string;
  /** The member of which the server refuses something. */
  readonly wrongAgentId: string | null;
}

/** A scenario as a drawing. Each agent leads to its settings below. */
export function Graph({ draft, nameOf, wrongAgentId }: GraphProps) {
  const { width, height, places, lines } = layOut(draft.members, draft.rootAgentId);
  const frame = useRef<HTMLElement>(null);
  const rootX = places.get(draft.rootAgentId)?.x;
  useEffect(() => {
    // Where the drawing is wider than the page, it opens at the agent that begins.
    const { current } = frame;
    if (current && rootX !== undefined) current.scrollLeft = rootX - current.clientWidth / 2;
  }, [rootX]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it
    <section className="graph" aria-label="Graph" tabIndex={0} ref={frame}>
      <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height}>
        <title>Who hands over to whom</title>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto">
            <path className="arrow" d="M0 0L8 4L0 8z" />
          </marker>
        </defs>
        {lines.map(({ id, d }) => (
          <path key={id} className="edge" d={d} markerEnd="url(#arrow)" />
        ))}
        {draft.members.map(({ agentId, handoffs }) => {
          const { x, y } = places.get(agentId) ?? { x: 0, y: 0 };
          const isRoot = agentId === draft.rootAgentId;
          const targets = handoffs.map(({ toAgentId }) => nameOf(toAgentId)).join(', ');
          return (
            <a
              key={agentId}
              href={`#${agentId}`}
              className={`node${isRoot ? ' root' : ''}${agentId === wrongAgentId ? ' wrong' : ''}`}
              aria-label={`${nameOf(agentId)}${isRoot ? ', begins' : ''}: hands over to ${targets || 'nobody'}`}
            >
              <rect x={x - nodeWidth / 2} y={y - nodeHeight / 2} width={nodeWidth} height={nodeHeight} rx="12" />
              <text x={x} y={y} textAnchor="middle" dominantBaseline="central">
                {shorten(nameOf(agentId))}
              </text>
            </a>
          );
        })}
      </svg>
    </section>
  );
}

const shorten = (name: string): string => (name.length > 18 ? `${name.slice(0, 17)}…` : name);
