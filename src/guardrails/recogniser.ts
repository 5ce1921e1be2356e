/** A part of a text, by offsets in UTF-16 code units. */
export interface TextSpan {
  readonly start: number;
  readonly end: number;
}

/** A form of personal data: the texts that look like it, and whether one of them is it. */
export interface Recogniser {
  /** With the flag `g`, and linear: its repeats are bounded. */
  readonly pattern: RegExp;
  readonly isValid: (candidate: string) => boolean;
}

/** Finds what a recogniser takes for its kind. */
export function findValid(text: string, { pattern, isValid }: Recogniser): TextSpan[] {
  return [...text.matchAll(pattern)].flatMap((match) => {
    const [candidate] = match;
    return isValid(candidate) ? [{ start: match.index, end: match.index + candidate.length }] : [];
  });
}

/** The check digit of cards (ISO/IEC 7812-1) and of Swedish personal numbers. */
export function hasLuhnDigit(digits: string): boolean {
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[digits.length - 1 - index]);
    const doubled = index % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}
