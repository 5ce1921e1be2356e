/** The path of a value in the arguments of a mutation, or in a file. */
type Path = readonly (string | number)[];

/** A graph of agents that is not checked yet. An agent is an id or a name, whichever the source uses. */
export interface DraftGraph {
  readonly root: string;
  /** Whether orchestration can choose each member: then none has to be reachable by handoffs. */
  readonly isOrchestrated: boolean;
  readonly members: readonly { readonly agent: string; readonly handoffs: readonly string[] }[];
}

/** How error messages refer to the parts of a graph. */
export interface GraphLabels {
  /** The scenario’s key. */
  readonly key: string;
  /** The path of the root. */
  readonly root: Path;
  /** The path of a member. */
  readonly member: (index: number) => Path;
  /** The path of the target of a member's handoff. */
  readonly handoff: (index: number, position: number) => Path;
  /** The name of an agent for people. */
  readonly nameOf: (agent: string) => string;
}

/** A problem of a graph. */
export interface GraphProblem {
  readonly path: Path;
  readonly message: string;
}

/**
 * Checks a graph by itself; whether its agents exist and are active is for the caller to check. The root must be a
 * member, no member may be duplicated, each handoff must lead from a member to another one, once, and every member must
 * be reachable from the root, by handoffs or because orchestration can choose it.
 * @returns all problems, in the order of the graph; reachability is checked only if there are no others
 */
export function findGraphProblems(graph: DraftGraph, labels: GraphLabels): GraphProblem[] {
  const { root, members } = graph;
  const name = (agent: string) => JSON.stringify(labels.nameOf(agent));
  const scenario = `the scenario ${JSON.stringify(labels.key)}`;
  const handoffs = new Map<string, ReadonlySet<string>>();
  const known = new Set(members.map(({ agent }) => agent));
  const problems: GraphProblem[] = [];

  if (!known.has(root)) problems.push({ path: labels.root, message: `${name(root)} is not an agent of ${scenario}` });
  for (const [index, { agent, handoffs: targets }] of members.entries()) {
    if (handoffs.has(agent)) problems.push({ path: labels.member(index), message: `${name(agent)} is duplicated` });
    const seen = new Set<string>();
    for (const [position, to] of targets.entries()) {
      const path = labels.handoff(index, position);
      const from = name(agent);
      if (to === agent) problems.push({ path, message: `${from} cannot hand off to itself` });
      else if (!known.has(to)) {
        problems.push({ path, message: `${from} hands off to ${name(to)}, which is not an agent of ${scenario}` });
      } else if (seen.has(to)) problems.push({ path, message: `${from} hands off to ${name(to)} twice` });
      seen.add(to);
    }
    handoffs.set(agent, seen);
  }
  return problems.length > 0 || graph.isOrchestrated ? problems : findUnreachable(graph, handoffs, labels);
}

function findUnreachable(
  { root, members }: DraftGraph,
  handoffs: ReadonlyMap<string, ReadonlySet<string>>,
  labels: GraphLabels,
): GraphProblem[] {
  const reached = new Set([root]);
  // The iteration includes what is added to the set meanwhile.
  for (const agent of reached) for (const to of handoffs.get(agent) ?? []) reached.add(to);
  return members.flatMap(({ agent }, index) => {
    if (reached.has(agent)) return [];
    const message = `${JSON.stringify(labels.nameOf(agent))} cannot be reached from the root ${JSON.stringify(labels.nameOf(root))} by handoffs`;
    return [{ path: labels.member(index), message }];
  });
}
