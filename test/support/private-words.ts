/** A phrase that this repository does not use, and what to write in its place. */
export interface PrivateWord {
  readonly pattern: RegExp;
  readonly instead: string;
  /** Ordinary English in a comment, but with two meanings: documents say which. */
  readonly documentsOnly?: true;
}

/**
 * Phrases that only their authors would understand at first reading. CONTRIBUTING.md has the rules; this list holds the
 * part of them that a search can find.
 */
export const privateWords: readonly PrivateWord[] = [
  { pattern: /\bthe floor\b/gi, instead: 'the active agent' },
  { pattern: /\bthere (?:is|are) not\b(?! (?:an?|any|enough|yet|one|always|only)\b)/gi, instead: 'does not exist' },
  { pattern: /\bclockwork\b/gi, instead: 'background jobs' },
  { pattern: /\b(?:is|are) no good\b/gi, instead: 'is invalid' },
  { pattern: /\bnobody came\b/gi, instead: 'nobody decided in time' },
  { pattern: /\bwhere there (?:is|are)\b/gi, instead: 'if there is' },
  { pattern: /\bwhere nobody\b/gi, instead: 'if nobody' },
  { pattern: /\banswers? with\b/gi, instead: 'returns' },
  { pattern: /\b(?:and|it) answers (?:its|when|an?)\b/gi, instead: 'returns' },
  { pattern: /\bout of reach\b/gi, instead: 'unavailable' },
  { pattern: /\bit has not itself\b/gi, instead: 'it does not have' },
  { pattern: /\btakes? the place of\b/gi, instead: 'replaces' },
  { pattern: /\bbegan with\b/gi, instead: 'started with' },
  { pattern: /\bunless set\b/gi, instead: 'by default' },
  { pattern: /\bwhat becomes of\b/gi, instead: 'what happens to' },
  { pattern: /\bat once\b/gi, instead: 'immediately, or: at the same time', documentsOnly: true },
  { pattern: /\bfarewell|\bpatience\b/gi, instead: 'a timeout' },
  { pattern: /\bbroken off\b/gi, instead: 'interrupted' },
  { pattern: /\bmost[A-Z]\w+/g, instead: 'max…' },
  { pattern: /\bcontestants?\b/gi, instead: 'system' },
  { pattern: /\b(?:meet|meets) (?:him|her|them|it)\b/gi, instead: 'read, or: create' },
];

/** The phrases of a text that are in the list, each with what to write instead. */
export function findPrivateWords(text: string): string[] {
  return privateWords.flatMap(({ pattern, instead }) =>
    [...text.matchAll(pattern)].map(([found]) => `"${found}" (write: ${instead})`),
  );
}
