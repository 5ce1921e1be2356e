/** PostgreSQL stores no text with U+0000, and well-formed text has no surrogate on its own. */
const unstorable = /[\0\ud800-\udfff]/;

/** Text as PostgreSQL can store it: without U+0000, lone surrogates replaced by U+FFFD. */
export function cleanText(text: string): string {
  return unstorable.test(text) ? text.replaceAll('\0', '').toWellFormed() : text;
}

/**
 * Cleans streamed text like `cleanText`. A surrogate pair that is split over two deltas is held back until it is
 * complete. One per text.
 */
export class TextCleaner {
  #carry = '';

  /** The part of the delta that can be passed on now; it may be empty. */
  push(delta: string): string {
    // The ordinary token has nothing to clean, and this runs once per token.
    if (this.#carry === '' && !unstorable.test(delta)) return delta;
    const text = this.#carry + delta.replaceAll('\0', '');
    const last = text.charCodeAt(text.length - 1);
    const split = last >= 0xd800 && last <= 0xdbff;
    this.#carry = split ? text.slice(-1) : '';
    return (split ? text.slice(0, -1) : text).toWellFormed();
  }

  /** What was still held back: half a pair whose other half never arrived. */
  end(): string {
    const rest = this.#carry;
    this.#carry = '';
    return rest.toWellFormed();
  }
}
