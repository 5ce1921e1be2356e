import type { MemberDraft } from './scenario-draft.ts';

export const nodeWidth = 148;
export const nodeHeight = 44;
const gapX = 64;
const gapY = 76;
const margin = 56;

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Layout {
  readonly width: number;
  readonly height: number;
  /** The middle of each member. */
  readonly places: ReadonlyMap<string, Point>;
  /** The line of each handoff, as the `d` of a path. */
  readonly lines: readonly { readonly id: string; readonly d: string }[];
}

/** Where a graph is drawn: the root above, under it those whom it hands over to, and so on. Whom nobody hands over to comes last. */
export function layOut(members: readonly MemberDraft[], rootId: string): Layout {
  const rows = findRows(members, rootId);
  const longest = Math.max(1, ...rows.map((row) => row.length));
  const width = longest * (nodeWidth + gapX) - gapX + 2 * margin;
  const height = rows.length * (nodeHeight + gapY) - gapY + 2 * margin;
  const places = new Map<string, Point>();
  for (const [level, row] of rows.entries()) {
    for (const [position, id] of row.entries()) {
      places.set(id, {
        x: width / 2 + (position - (row.length - 1) / 2) * (nodeWidth + gapX),
        y: margin + nodeHeight / 2 + level * (nodeHeight + gapY),
      });
    }
  }
  const lines = members.flatMap(({ agentId, handoffs }) =>
    handoffs.flatMap(({ toAgentId }) => {
      const from = places.get(agentId);
      const to = places.get(toAgentId);
      return from && to && from !== to ? [{ id: `${agentId} ${toAgentId}`, d: drawLine(from, to) }] : [];
    }),
  );
  return { width, height, places, lines };
}

/** The members by their distance from the root. */
function findRows(members: readonly MemberDraft[], rootId: string): string[][] {
  const targets = new Map(members.map(({ agentId, handoffs }) => [agentId, handoffs.map((one) => one.toAgentId)]));
  const seen = new Set<string>();
  const rows: string[][] = [];
  let row = targets.has(rootId) ? [rootId] : [];
  while (row.length > 0) {
    rows.push(row);
    for (const id of row) seen.add(id);
    const next = row.flatMap((id) => targets.get(id) ?? []).filter((id) => targets.has(id) && !seen.has(id));
    row = [...new Set(next)];
  }
  const unreached = [...targets.keys()].filter((id) => !seen.has(id));
  return unreached.length > 0 ? [...rows, unreached] : rows;
}

/** A curve to the left of its direction: the way back runs on the other side, and what stands between two of a row is passed by. */
function drawLine(from: Point, to: Point): string {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy);
  const columns = Math.abs(dx) / (nodeWidth + gapX);
  const bow = dy === 0 ? 22 + 34 * columns : 16;
  const middle = { x: from.x + dx / 2 + (dy / length) * bow, y: from.y + dy / 2 - (dx / length) * bow };
  const start = leave(from, middle, 0);
  const end = leave(to, middle, 6);
  return `M${start.x} ${start.y}Q${middle.x} ${middle.y} ${end.x} ${end.y}`;
}

/** Where the line from the middle of a node to a point crosses its edge. */
function leave(node: Point, towards: Point, gap: number): Point {
  const dx = towards.x - node.x;
  const dy = towards.y - node.y;
  const share = Math.min((nodeWidth / 2 + gap) / Math.abs(dx || 1e-9), (nodeHeight / 2 + gap) / Math.abs(dy || 1e-9));
  return { x: Math.round(node.x + dx * share), y: Math.round(node.y + dy * share) };
}
