import { createHash } from 'node:crypto';

/** Providers allow 64 characters in the name of a function; some are left for whoever puts a prefix before it. */
const maxLength = 60;

/** Who can be handed to, as far as it takes to name the handoff. */
interface Target {
  readonly id: string;
  readonly name: string;
}

/**
 * Names the transfer tools of agents: `transfer_to_` and the agent's name in snake case. Where that says nothing (a name
 * without a Latin letter or a digit), or the same of another agent, it ends in eight characters of a hash of the agent's
 * id. So a name hangs on the agents and on nothing else: the handoffs of the past have those that are offered now.
 * @param agents all of a turn, and of its past: whoever is told apart from each other
 * @returns names by agent id, each of them one agent's only
 */
export function nameHandoffs(agents: Iterable<Target>): Map<string, string> {
  const targets = new Map([...agents].map((agent) => [agent.id, slugOf(agent.name)]));
  const bearers = new Map<string, number>();
  for (const slug of targets.values()) bearers.set(cut(slug), (bearers.get(cut(slug)) ?? 0) + 1);
  return new Map(
    [...targets].map(([id, slug]) => {
      // What looks like a hash gets one of its own: it could be another's.
      const plain = slug !== '' && bearers.get(cut(slug)) === 1 && !/(^|_)[0-9a-f]{8}$/.test(cut(slug));
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
