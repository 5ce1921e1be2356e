/** How often each attack did something, and what came of it. */
export type AttackCounts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What must come of an attack, or must not. */
interface Expectation {
  readonly attack: string;
  /** What is counted. */
  readonly count: string;
  readonly must: 'happen' | 'not happen';
}

/**
 * Every attacker is refused: by which bound, docs/security.md says. Nothing here depends on how fast the machine is: what
 * only happens after a while, such as the end of a run that became too large or of a stream that nobody reads, is printed,
 * and what it protects is decided by the memory and the open files.
 */
const expectations: readonly Expectation[] = [
  { attack: 'pings before init', count: 'closed by the server', must: 'happen' },
  { attack: 'invalid documents without a token', count: 'closed by the server', must: 'happen' },
  { attack: 'invalid documents without a token', count: 'answered with data', must: 'not happen' },
  { attack: 'pipelined requests', count: 'closed by the server', must: 'happen' },
  { attack: 'pipelined requests', count: 'all answered', must: 'not happen' },
  { attack: 'odd Host headers', count: 'answered with a 5xx', must: 'not happen' },
  { attack: 'odd Host headers', count: 'answered with a stack trace', must: 'not happen' },
  { attack: 'a provider that floods events', count: 'turns that completed', must: 'not happen' },
  { attack: 'large pages', count: 'pages, cut or refused', must: 'happen' },
  { attack: 'large pages', count: 'pages of more than 50 MB', must: 'not happen' },
  { attack: 'unread SSE streams', count: 'refused', must: 'happen' },
  { attack: '1,500 ENQUEUE', count: 'refused', must: 'happen' },
];

/**
 * Which attackers were not refused, each as a sentence.
 * @param names the attacks that were started
 */
export function findUnrefused(names: readonly string[], counts: AttackCounts): string[] {
  return expectations.flatMap(({ attack, count, must }) => {
    if (!names.includes(attack)) return [];
    const times = counts[attack]?.[count] ?? 0;
    if (must === 'happen') return times > 0 ? [] : [`${attack}: it was never counted that it is "${count}".`];
    return times === 0 ? [] : [`${attack}: "${count}" was counted ${times} times.`];
  });
}
