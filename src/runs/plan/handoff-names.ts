import { createHash } from 'node:crypto';

/** Providers allow 64 characters in the name of a function; some are left for a prefix. */
const maxLength = 60;

/** The agent that a handoff goes to. */
interface Target {
  readonly id: string;
  readonly name: string;
}

/**
 * Names the transfer tools of agents: `transfer_to_` and the agent's name in snake case. If that is empty (a name without
 * a Latin letter or a digit), or equal to the name of another agent, it ends in eight characters of a hash of the agent's
 * id. A name depends on the agents only, so the handoffs of the past have the names that are offered now.
 * @param agents all agents of a turn and of its past: their names are distinct
 * @returns names by agent id
 */
export function nameHandoffs(agents: Iterable<Target>): Map<string, string> {
  const targets = new Map([...agents].map((agent) => [agent.id, slugOf(agent.name)]));
  const counts = new Map<string, number>();
  for (const slug of targets.values()) counts.set(cut(slug), (counts.get(cut(slug)) ?? 0) + 1);
  return new Map(
    [...targets].map(([id, slug]) => {
      // A name that ends like a hash gets a hash of its own: it could be equal to another agent's.
      const plain = slug !== '' && counts.get(cut(slug)) === 1 && !/(^|_)[0-9a-f]{8}$/.test(cut(slug));
      if (plain) return [id, cut(slug)];
      const hash = createHash('sha256').update(id).digest('hex').slice(0, 8);
      return [id, `${cut(slug || 'agent').slice(0, maxLength - hash.length - 1)}_${hash}`];
    }),
  );
}

const cut = (slug: string) => `transfer_to_${slug}`.slice(0, maxLength);

function slugOf(name: string): string {
  return name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
}
