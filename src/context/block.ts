import { piiKinds } from '../guardrails/config.ts';
import { compileMatcher, findIn, joinFindings, redact, type TextMatcher } from '../guardrails/find.ts';
import { mapJson } from '../guardrails/map-json.ts';
import { cleanForModel } from './delimit.ts';
import { References } from './references.ts';

const indent = '  ';
const cutNote = `${indent}(cut here: there is more than fits)`;
const maxTitleCharacters = 300;

/** How texts are changed before they become part of a block. */
export interface BlockOptions {
  readonly redactPii: boolean;
  readonly references: boolean;
}

/**
 * Writes the text of a snapshot, section by section. A section is a title at the beginning of a line, and lines that are
 * indented: no text can look like a title. In each text, references replace the ids of databases first, then placeholders
 * replace personal data, and only then is it cut: no half of an address is left.
 */
export class BlockWriter {
  readonly #references: References | null;
  readonly #matcher: TextMatcher | null;
  readonly #lines: string[] = [];
  #redactions = 0;
  #isTruncated = false;

  constructor({ redactPii, references }: BlockOptions) {
    this.#references = references ? new References() : null;
    this.#matcher = redactPii ? compileMatcher({ type: 'PII', kinds: [...piiKinds] }) : null;
  }

  /**
   * Adds a section.
   * @param maxCharacters of its lines, without the title
   * @returns how many characters it has taken
   */
  add(title: string, text: string, maxCharacters: number): number {
    return this.#write(title, this.#clean(text), maxCharacters);
  }

  /** As `add`, with a JSON value. */
  addJson(title: string, value: unknown, maxCharacters: number): number {
    const mapped = this.#references ? this.#references.mapJson(value) : value;
    const written = JSON.stringify(mapJson(mapped, (text) => this.#redact(text))) ?? 'null';
    return this.#write(title, cleanForModel(written), maxCharacters);
  }

  /** Notes that something was left out. */
  noteTruncation(): void {
    this.#isTruncated = true;
  }

  /** How an id is to be named: its reference, or itself. */
  nameOf(id: string): string {
    return this.#references ? this.#references.nameOf(id) : id;
  }

  /** What was written. `references`: the ids by their references. */
  finish() {
    return {
      block: this.#lines.join('\n'),
      truncated: this.#isTruncated,
      redactions: this.#redactions,
      references: this.#references?.entries ?? {},
    };
  }

  #clean(text: string): string {
    return cleanForModel(this.#redact(this.#references ? this.#references.mapText(text) : text));
  }

  #redact(text: string): string {
    if (this.#matcher === null) return text;
    const findings = joinFindings(findIn(text, this.#matcher));
    this.#redactions += findings.length;
    return findings.length === 0 ? text : redact(text, findings);
  }

  #write(title: string, text: string, maxCharacters: number): number {
    const heading = this.#clean(title).replaceAll('\n', ' ');
    this.#lines.push(cutText(heading, maxTitleCharacters));
    const lines = text.replaceAll(/\n{3,}/g, '\n\n').replaceAll('\n', `\n${indent}`);
    const body = indent + lines;
    const isWhole = body.length <= maxCharacters;
    if (isWhole) this.#lines.push(body);
    else this.#lines.push(cutText(body, maxCharacters), cutNote);
    this.#isTruncated ||= !isWhole;
    return Math.min(body.length, maxCharacters);
  }
}

/** The beginning of a text, without half of a surrogate pair at its end. */
function cutText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const last = text.charCodeAt(maxLength - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxLength - 1 : maxLength);
}
