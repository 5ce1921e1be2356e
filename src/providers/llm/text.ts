/** PostgreSQL stores no text with NUL, and nothing that is well-formed has a surrogate by itself. */
const suspects = /[\0\ud800-\udfff]/;

/**
 * Makes streamed text fit to be stored and sent on: no NUL, no lone surrogate, and a pair that is split over two
 * deltas is kept back until it is whole. One per text.
 */
export class TextSanitizer {
  #carry = '';

  /** The delta as it may go on: possibly empty. */
  mend(delta: string): string {
    // The ordinary token has nothing of the kind, and this runs for each of them.
    if (this.#carry === '' && !suspects.test(delta)) return delta;
    const text = this.#carry + delta.replaceAll('\0', '');
    const last = text.charCodeAt(text.length - 1);
    const split = last >= 0xd800 && last <= 0xdbff;
    this.#carry = split ? text.slice(-1) : '';
    return (split ? text.slice(0, -1) : text).toWellFormed();
  }

  /** What was still kept back: half a pair whose other half never came. */
  end(): string {
    const rest = this.#carry;
    this.#carry = '';
    return rest.toWellFormed();
  }
}

/** Mends a text that came in one piece. */
export function sanitizeText(text: string): string {
  return text.replaceAll('\0', '').toWellFormed();
}
