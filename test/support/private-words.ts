/** A phrase that this repository does not use, and what to write in its place. */
interface PrivateWord {
  readonly pattern: RegExp;
  readonly instead: string;
}

/**
 * Phrases that only its authors would understand at first reading. CONTRIBUTING.md has the rules of which this list
 * holds what can be found by a search.
 */
const privateWords: readonly PrivateWord[] = [
  {
    pattern: /\b(?:has|had|have|having|gets?|got|gives?|gave|given|keeps?|take|takes|took) the floor\b/i,
    instead: 'is the active agent',
  },
  { pattern: /\bthe floor (?:goes|moved|moves)\b/i, instead: 'the active agent changes' },
  { pattern: /\bthere is not\b(?! (?:a|an|any|enough|yet|one|always|only)\b)/i, instead: 'does not exist' },
  { pattern: /\bclockwork\b/i, instead: 'background jobs' },
  { pattern: /\bis no good\b/i, instead: 'is invalid' },
  { pattern: /\bNobody came\b/i, instead: 'nobody decided in time' },
  { pattern: /\bwhere there is\b/i, instead: 'if there is' },
  { pattern: /\banswers? with\b/i, instead: 'returns' },
  { pattern: /\band answers (?:its|when|the)\b/i, instead: 'and returns' },
  { pattern: /(?<!there )\bis no (?:Node|origin|host|agent|scenario|tool|node|key|run)\b/i, instead: 'is not a' },
  { pattern: /\bout of reach\b/i, instead: 'unavailable' },
  { pattern: /\bit has not itself\b/i, instead: 'it does not have' },
  { pattern: /\btake (?:the|its) place of\b/i, instead: 'replace' },
  { pattern: /\btakes (?:the|its) place of\b/i, instead: 'replaces' },
  { pattern: /\bbegan with\b/i, instead: 'started with' },
  { pattern: /\bunless set\b/i, instead: 'Default:' },
  { pattern: /\bwhat becomes of\b/i, instead: 'what happens to' },
];

/** The phrases of a text that are in the list, each with what to write instead. */
export function findPrivateWords(text: string): string[] {
  return privateWords.flatMap(({ pattern, instead }) => {
    const found = pattern.exec(text);
    return found === null ? [] : [`"${found[0]}" (write: ${instead})`];
  });
}
