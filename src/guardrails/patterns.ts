import { RE2JS, RE2JSException } from 're2js';

/** What a pattern found is replaced with. */
export const patternPlaceholder = '[REDACTED]';

/** The maximum size of all patterns of one guardrail, in instructions of the matcher: its time grows with it. */
const maxInstructions = 5_000;
/** The longest text that every pattern searches whole, in characters: the longest message. */
const maxTextLength = 100_000;
/** Classes of Unicode, and ranges that may span most of it, which take milliseconds to compile; in one guardrail. */
const wideClass = /\\[pP]|\\x\{0*[1-9a-f][0-9a-f]{2}|-[^ -~]/gi;
const maxWideClasses = 10;

/** What one text may take of the process that all share, in milliseconds. */
const maxSearchMs = 300;
/** After so many milliseconds the others may go on first. */
const longMs = 10;
/**
 * A search of one pattern through a text is not interrupted: its steps (length of the text × size of the pattern) are bounded
 * before. The slowest patterns take 30 ns for a step: 0.6 seconds.
 */
const maxSteps = 20_000_000;
/** What a larger pattern may not search in a long message is refused when it is saved. */
const maxInstructionsOfOne = maxSteps / maxTextLength;
/** The time is looked at after so many matches. */
const matchesBetween = 16;

/** How long a text was searched, with all of its patterns. */
export class SearchTime {
  #usedMs = 0;

  /** Whether it has taken so long that others should go on before the next search. */
  get isLong(): boolean {
    return this.#usedMs > longMs;
  }

  /** @param search is told whether the time is over */
  measure<Result>(search: (isOver: () => boolean) => Result): Result {
    const begunAt = threadMs();
    const isOver = () => this.#usedMs + threadMs() - begunAt > maxSearchMs;
    try {
      return search(isOver);
    } finally {
      this.#usedMs += threadMs() - begunAt;
    }
  }
}

/** The CPU time of this thread: a busy machine takes none of it. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

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
  let wideClasses = 0;
  for (const [index, pattern] of patterns.entries()) {
    const problem = (message: string): PatternProblem => ({ index, message });
    wideClasses += pattern.match(wideClass)?.length ?? 0;
    if (wideClasses > maxWideClasses)
      return problem(`is too large: the patterns of a guardrail can have ${maxWideClasses} classes of Unicode`);
    let matcher: RE2JS;
    try {
      matcher = RE2JS.compile(pattern);
    } catch (error) {
      if (!(error instanceof RE2JSException)) throw error;
      return problem('must be a pattern of RE2 (no lookaround, no back references)');
    }
    if (matcher.programSize() > maxInstructionsOfOne)
      return problem(
        `is too large: it has ${matcher.programSize()} steps, and ${maxInstructionsOfOne} are searched for in a text of ${maxTextLength.toLocaleString('en-US')} characters within the time of a check. Divide it into several patterns`,
      );
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

/** What was found, or not searched any more. */
interface PatternSpan {
  readonly start: number;
  readonly end: number;
  readonly label: string;
}

/**
 * Finds every match of the patterns. One search is linear in the length of the text, but a text can have a match at each of
 * its characters, each of which takes a search through the rest. If the time is over, the rest counts as found: what was not
 * searched has not passed.
 */
export function findPatterns(text: string, patterns: CompiledPatterns, time = new SearchTime()): PatternSpan[] {
  return time.measure((isOver) => patterns.flatMap((pattern, index) => findOne(text, pattern, named(index), isOver)));
}

function findOne(text: string, pattern: RE2JS, label: string, isOver: () => boolean): PatternSpan[] {
  const found: PatternSpan[] = [];
  let from = 0;
  const rest = () => (from < text.length ? [...found, { start: from, end: text.length, label }] : found);
  if (pattern.programSize() * text.length > maxSteps || isOver()) return rest();
  const matcher = pattern.matcher(text);
  for (let count = 1; matcher.find(); count++) {
    const [start, end] = [matcher.start(), matcher.end()];
    if (end > start) found.push({ start, end, label });
    from = end;
    if (count % matchesBetween === 0 && isOver()) return rest();
  }
  return found;
}
