import { findSentenceEnd } from './text-offsets.ts';

/** So often the guardrails of one turn ask providers at most: about its texts, its calls and their results together. */
const maxQuestions = 500;

/** Counts the questions of a turn to providers. */
export class QuestionBudget {
  #left = maxQuestions;

  /** @returns false: the turn has asked as often as it may */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}

/** Why a check was not made that would have been one too many. */
export const tooManyQuestions = `the turn has asked providers ${maxQuestions} times, as often as it may`;

/** A provider is asked about so many new characters at least, whatever the window: a question costs more than they do. */
export const minAskedLength = 200;
/** After so many questions about a text, the next ones are about twice as much each: the longest answer takes some hundred. */
const questionsOfSize = 50;
/** What a question about a part of an answer holds of it at most, in characters: the new part, and what is before it. */
const maxContext = 4_000;

/** About how much of an answer providers are asked at once, while it is written. */
export class QuestionSizes {
  #asked = 0;

  /**
   * Up to where a provider is asked next: a window at a time, or whole sentences.
   * @param window in characters; null: sentences
   * @param from up to where it was asked before
   * @returns an offset in UTF-16 code units; `from` if there is not enough to ask about
   */
  findEnd(window: number | null, text: string, from: number): number {
    const length = Math.max(minAskedLength, window ?? 0) * 2 ** Math.floor(this.#asked / questionsOfSize);
    if (text.length - from < length) return from;
    const end = window === null ? findSentenceEnd(text, from) : text.length;
    return end - from < length ? from : end;
  }

  /** The part of a text that a question holds, and counts it. @param length that of what is new at its end */
  cut(text: string, length: number): string {
    this.#asked += 1;
    return text.slice(-Math.max(maxContext, length));
  }
}
