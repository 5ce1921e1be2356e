/** Where a value stood: in the arguments of a mutation, or in a file. */
type Path = readonly (string | number)[];

/** A graph of agents as somebody wrote it down. Agents are named by whatever names them there: an id, or a name. */
export interface DraftGraph {
  readonly root: string;
  readonly members: readonly { readonly agent: string; readonly handoffs: readonly string[] }[];
}

/** How the writer of a graph is told what is wrong with it. */
export interface GraphLabels {
  /** The scenario’s key. */
  readonly key: string;
  /** Where the root stood. */
  readonly root: Path;
  /** Where the name of a member stood. */
  readonly member: (index: number) => Path;
  /** Where the target of a handoff stood. */
  readonly handoff: (index: number, place: number) => Path;
  /** What people call an agent. */
  readonly nameOf: (agent: string) => string;
}

/** Something that is wrong with a graph. */
export interface GraphProblem {
  readonly path: Path;
  readonly message: string;
}

/**
 * What is wrong with a graph in itself; whether its agents exist and are active is for the caller to know. The root has
 * to be a member, a member is there once, handoffs lead from a member to another one, once, and every member can be
 * reached from the root.
 * @returns all problems, in the order of the graph; reachability is judged only where the rest is right
 */
export function findGraphProblems(graph: DraftGraph, words: GraphLabels): GraphProblem[] {
  const { root, members } = graph;
  const name = (agent: string) => JSON.stringify(words.nameOf(agent));
  const scenario = `the scenario ${JSON.stringify(words.key)}`;
  const handoffs = new Map<string, ReadonlySet<string>>();
  const known = new Set(members.map(({ agent }) => agent));
  const problems: GraphProblem[] = [];

  if (!known.has(root)) problems.push({ path: words.root, message: `${name(root)} is no agent of ${scenario}` });
  for (const [index, { agent, handoffs: targets }] of members.entries()) {
    if (handoffs.has(agent)) problems.push({ path: words.member(index), message: `${name(agent)} is there twice` });
    const seen = new Set<string>();
    for (const [place, to] of targets.entries()) {
      const path = words.handoff(index, place);
      const from = name(agent);
      if (to === agent) problems.push({ path, message: `${from} cannot hand off to itself` });
      else if (!known.has(to)) {
        problems.push({ path, message: `${from} hands off to ${name(to)}, which is no agent of ${scenario}` });
      } else if (seen.has(to)) problems.push({ path, message: `${from} hands off to ${name(to)} twice` });
      seen.add(to);
    }
    handoffs.set(agent, seen);
  }
  return problems.length > 0 ? problems : findUnreachable(graph, handoffs, words);
}

function findUnreachable(
  { root, members }: DraftGraph,
  handoffs: ReadonlyMap<string, ReadonlySet<string>>,
  words: GraphLabels,
): GraphProblem[] {
  const reached = new Set([root]);
  // A set that grows while it is walked is walked to its end.
  for (const agent of reached) for (const to of handoffs.get(agent) ?? []) reached.add(to);
  return members.flatMap(({ agent }, index) => {
    if (reached.has(agent)) return [];
    const message = `no handoffs lead from the root ${JSON.stringify(words.nameOf(root))} to ${JSON.stringify(words.nameOf(agent))}`;
    return [{ path: words.member(index), message }];
  });
}
