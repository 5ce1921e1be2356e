import { RE2JS, RE2JSException } from 're2js';

/** What a pattern found is replaced with. */
export const patternPlaceholder = '[REDACTED]';

/** The maximum size of all patterns of one guardrail, in instructions of the matcher: its time grows with it. */
const maxInstructions = 5_000;

/** The patterns of a guardrail, compiled. */
export type CompiledPatterns = readonly RE2JS[];

const named = (index: number) => `pattern ${index + 1}`;

/** Why patterns cannot be used: the index of the first that is wrong, and what it must be. */
export interface PatternProblem {
  readonly index: number;
  readonly message: string;
}

/**
 * Compiles patterns for RE2, whose time is linear in the length of the text, whatever the pattern
 * (https://swtch.com/~rsc/regexp/regexp1.html). The syntax is https://github.com/google/re2/wiki/Syntax.
 */
export function compilePatterns(patterns: readonly string[]): CompiledPatterns | PatternProblem {
  const compiled: RE2JS[] = [];
  let instructions = 0;
  for (const [index, pattern] of patterns.entries()) {
    const problem = (message: string): PatternProblem => ({ index, message });
    let matcher: RE2JS;
    try {
      matcher = RE2JS.compile(pattern);
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error;
      return problem('must be a pattern of RE2 (no lookaround, no back references)');
    }
    instructions += matcher.programSize();
    if (instructions > maxInstructions)
      return problem(
        `is too large: the patterns of a guardrail can have ${maxInstructions.toLocaleString('en-US')} steps`,
      );
    if (matcher.matcher('').find()) return problem('must not match the empty text: it would flag every text');
    if (matcher.matcher(patternPlaceholder).find())
      return problem(`must not match ${patternPlaceholder}, which replaces what is found`);
    compiled.push(matcher);
  }
  return compiled;
}

/** Whether compiling has failed. */
export function isPatternProblem(result: CompiledPatterns | PatternProblem): result is PatternProblem {
  return 'message' in result;
}

/** Finds every match of the patterns. Linear in the length of the text. */
export function findPatterns(
  text: string,
  patterns: CompiledPatterns,
): { start: number; end: number; label: string }[] {
  return patterns.flatMap((pattern, index) => {
    const found: { start: number; end: number; label: string }[] = [];
    const matcher = pattern.matcher(text);
    while (matcher.find()) {
      const [start, end] = [matcher.start(), matcher.end()];
      if (end > start) found.push({ start, end, label: named(index) });
    }
    return found;
  });
}
