/** The tags around reasoning in the text of models whose server does not separate the two. */
const tags = ['think', 'thinking', 'thought', 'reasoning'];
const maxTagLength = Math.max(...tags.map((tag) => tag.length)) + 3;

/** A part of the text: reasoning, or what the user reads. */
export interface TextPart {
  readonly type: 'text' | 'reasoning';
  readonly delta: string;
}

/**
 * Separates `<think>…</think>` at the beginning of a streamed text from the rest, and drops blank lines at the beginning
 * of the text: some models write two before a tool call, and nothing else. One per step.
 */
export class ThinkTagSplitter {
  /** `start`: nothing but blanks so far. `gap`: the same behind the reasoning. */
  #state: 'start' | 'thinking' | 'gap' | 'text' = 'start';
  #held = '';
  /** Whether what is held is nothing but blanks. */
  #isBlank = true;
  #closing = '';

  /** The parts of the text that can be passed on now. */
  push(delta: string): TextPart[] {
    // The ordinary token, once per token.
    if (this.#state === 'text') return delta === '' ? [] : [{ type: 'text', delta }];
    this.#held += delta;
    // Blanks behind blanks change nothing: looking at all of them again for each takes time by the square of their number.
    if (this.#isBlank && this.#state !== 'thinking' && delta.trim() === '') return [];
    const parts: TextPart[] = [];
    while (this.#step(parts));
    this.#isBlank = this.#held.trim() === '';
    return parts;
  }

  /** What was still held back. Blanks are dropped: they are not an answer. */
  end(): TextPart[] {
    const held = this.#held;
    this.#held = '';
    if (this.#state === 'thinking') return held === '' ? [] : [{ type: 'reasoning', delta: held }];
    return held.trim() === '' ? [] : [{ type: 'text', delta: dropBlankLines(held) }];
  }

  /** @returns whether there may be more to do with what is held */
  #step(parts: TextPart[]): boolean {
    if (this.#state === 'thinking') return this.#think(parts);
    const begun = this.#held.trimStart();
    if (begun === '') return false;
    if (this.#state === 'start') {
      const opening = tags.find((tag) => begun.startsWith(`<${tag}>`));
      if (opening !== undefined) return this.#open(opening, begun);
      if (begun.length < maxTagLength && tags.some((tag) => `<${tag}>`.startsWith(begun))) return false;
    }
    parts.push({ type: 'text', delta: this.#state === 'gap' ? begun : dropBlankLines(this.#held) });
    this.#held = '';
    this.#state = 'text';
    return false;
  }

  #open(tag: string, begun: string): boolean {
    this.#state = 'thinking';
    this.#closing = `</${tag}>`;
    this.#held = begun.slice(tag.length + 2).replace(/^\r?\n/, '');
    return true;
  }

  #think(parts: TextPart[]): boolean {
    const at = this.#held.indexOf(this.#closing);
    // The end may be the beginning of the closing tag.
    const until = at >= 0 ? at : this.#held.length - overlap(this.#held, this.#closing);
    if (until > 0) parts.push({ type: 'reasoning', delta: this.#held.slice(0, until) });
    this.#held = this.#held.slice(at >= 0 ? at + this.#closing.length : until);
    if (at < 0) return false;
    this.#state = 'gap';
    return true;
  }
}

/** The text without the blank lines at its beginning; blanks before its first word on the same line stay. */
function dropBlankLines(text: string): string {
  const blanks = text.length - text.trimStart().length;
  return text.slice(text.slice(0, blanks).lastIndexOf('\n') + 1);
}

/** How many characters at the end of a text are the beginning of a tag. */
function overlap(text: string, tag: string): number {
  for (let length = Math.min(text.length, tag.length - 1); length > 0; length--) {
    if (text.endsWith(tag.slice(0, length))) return length;
  }
  return 0;
}
