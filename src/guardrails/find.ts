import type { GuardrailCheck } from './config.ts';
import { type NormalizedText, normalize } from './normalize.ts';
import {
  type CompiledPatterns,
  compilePatterns,
  findPatterns,
  isPatternProblem,
  patternPlaceholder,
  type SearchTime,
} from './patterns.ts';
import { findPii } from './pii.ts';

/** What a check found in a text, by offsets in the original text, in UTF-16 code units. */
export interface Finding {
  readonly start: number;
  readonly end: number;
  /** What it is: the kind of personal data, or which pattern. Never the text itself. */
  readonly label: string;
  /** What it is replaced with. */
  readonly placeholder: string;
}

/** A check that needs no provider. */
export interface TextMatcher {
  /** @param time of all searches of the text together; by default its own */
  find(text: NormalizedText, time?: SearchTime): Finding[];
}

/**
 * Compiles a check that needs no provider.
 * @returns null: the check asks a provider
 * @throws {Error} if a stored pattern cannot be compiled: it was checked when it was saved
 */
export function compileMatcher(check: GuardrailCheck): TextMatcher | null {
  switch (check.type) {
    case 'PII':
      return matcherOf((text) =>
        findPii(text, check.kinds).map((span) => ({ ...span, placeholder: `[${span.label}]` })),
      );
    case 'PATTERN': {
      const compiled = compilePatterns(check.patterns);
      if (isPatternProblem(compiled)) throw new Error(`A stored pattern ${compiled.message}.`);
      return matcherOf((text, time) => findAll(text, compiled, time));
    }
    default:
      return null;
  }
}

function findAll(text: string, patterns: CompiledPatterns, time?: SearchTime): Finding[] {
  return findPatterns(text, patterns, time).map((span) => ({ ...span, placeholder: patternPlaceholder }));
}

/** Looks at the text as it is read and as it is written: a pattern may be about either. */
function matcherOf(find: (text: string, time?: SearchTime) => Finding[]): TextMatcher {
  return {
    find(source, time) {
      const read = find(source.text, time).map((finding) => ({
        ...finding,
        ...source.toOriginal(finding.start, finding.end),
      }));
      return source.text === source.original ? read : [...read, ...find(source.original, time)];
    },
  };
}

/** Replaces what was found. Findings that overlap are replaced together, with the placeholder of the first. */
export function redact(text: string, findings: readonly Finding[]): string {
  let redacted = '';
  let at = 0;
  for (const { start, end, placeholder } of joinFindings(findings)) {
    redacted += text.slice(at, start) + placeholder;
    at = end;
  }
  return redacted + text.slice(at);
}

/** Findings in the order of the text; those that overlap are one. */
export function joinFindings<Span extends { readonly start: number; readonly end: number }>(
  findings: readonly Span[],
): Span[] {
  const joined: Span[] = [];
  for (const finding of [...findings].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const last = joined.at(-1);
    if (last && finding.start < last.end) joined[joined.length - 1] = { ...last, end: Math.max(last.end, finding.end) };
    else joined.push(finding);
  }
  return joined;
}

/** Finds what a matcher flags in a text as it was written. */
export function findIn(text: string, matcher: TextMatcher, time?: SearchTime): Finding[] {
  return matcher.find(normalize(text), time);
}
