import { chooseQuote } from './choose-quote.ts';
import { readSources, type Source } from './search-result.ts';

/** What a message cites, as it is stored. */
export interface CitedPassage {
  readonly index: number;
  /** The row id; null: it is not known. */
  readonly documentId: string | null;
  readonly title: string;
  readonly url: string | null;
  readonly quote: string;
  readonly position: number;
}

/** Citations of one message, at most. */
const maxCitations = 50;

/** Where an answer shows code: brackets in it are no citations. */
const code = /```[\s\S]*?(?:```|$)|`[^`\n]*`/g;
/** `[1]`, `[1, 3]`, `【2】` and `【2†source】`. */
const marks = /[[【]\s*\^?(\d{1,4}(?:\s*[,;]\s*\^?\d{1,4})*)\s*(?:†[^\]】]{0,100})?[\]】]/g;

/** The passages that a turn has found, by the numbers that its answers cite them by. */
export class TurnSources {
  readonly #sources = new Map<number, Source>();
  #lastNumber = 0;

  /** Takes numbers that no other passage of the turn has. @returns the first of them */
  takeNumbers(count: number): number {
    const first = this.#lastNumber + 1;
    this.#lastNumber += count;
    return first;
  }

  /** Notes what a call has returned, if it is a search. */
  note(call: Parameters<typeof readSources>[0]): void {
    for (const source of readSources(call)) {
      this.#sources.set(source.number, source);
      this.#lastNumber = Math.max(this.#lastNumber, source.number);
    }
  }

  /** What a text cites of them, in the order of the numbers: each passage once, and nothing else. */
  citedIn(text: string): CitedPassage[] {
    if (this.#sources.size === 0) return [];
    const numbers = new Set(
      [...text.replaceAll(code, ' ').matchAll(marks)].flatMap(([, list = '']) =>
        (list.match(/\d+/g) ?? []).map(Number),
      ),
    );
    return [...numbers]
      .sort((a, b) => a - b)
      .flatMap((number) => this.#sources.get(number) ?? [])
      .slice(0, maxCitations)
      .map(({ number: index, documentId, title, url, position, text: passage, query }) => {
        return { index, documentId, title, url, position, quote: chooseQuote(passage, query) };
      });
  }
}
