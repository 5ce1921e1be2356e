import { piiKinds } from '../guardrails/config.ts';
import { compileMatcher, type Finding, findIn, joinFindings, redact, type TextMatcher } from '../guardrails/find.ts';
import { mapJson } from '../guardrails/map-json.ts';
import { cleanForModel } from './delimit.ts';
import { findInPage } from './page-addresses.ts';
import { References } from './references.ts';

const indent = '  ';
const cutNote = `${indent}(cut here: there is more than fits)`;
const maxTitleCharacters = 300;
/** Of a text, so many times the characters that can be shown are looked at: placeholders are shorter than what they replace. */
const lookedAt = 2;
/** Nothing that is recognised is longer: of a text that is cut, so much of the end may hold a part of an address. */
export const margin = 512;

/** How much of a section may still be looked at. */
interface Budget {
  left: number;
}

/** Chooses what is replaced in a text, from the personal data that was found in it. */
type ChooseFindings = (text: string, personal: readonly Finding[]) => Finding[];
const allOfThem: ChooseFindings = (_text, personal) => joinFindings(personal);

/** How texts are changed before they become part of a block. */
export interface BlockOptions {
  readonly redactPii: boolean;
  readonly references: boolean;
}

/**
 * Writes the text of a snapshot, section by section. A section is a title at the beginning of a line, and lines that are
 * indented: no text can look like a title. In each text, references replace the ids of databases first, then placeholders
 * replace personal data, and only then is it cut: no half of an address is left. Searching costs time, so what lies far behind
 * the part that can be shown is not looked at.
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
    return this.#write(title, this.#clean(text, maxCharacters), maxCharacters);
  }

  /** As `add`, with what a user sees of a page: its own host is shown, and the secrets in addresses are replaced. */
  addPage(title: string, text: string, maxCharacters: number): number {
    return this.#write(title, this.#clean(text, maxCharacters, findInPage), maxCharacters);
  }

  /** As `add`, with a JSON value. */
  addJson(title: string, value: unknown, maxCharacters: number): number {
    const mapped = this.#references ? this.#references.mapJson(value) : value;
    const budget = { left: lookedAt * maxCharacters };
    const written = JSON.stringify(mapJson(mapped, (text) => this.#prepare(text, budget))) ?? 'null';
    return this.#write(title, cleanForModel(written), maxCharacters);
  }

  /**
   * The beginning of a text that is part of a JSON value, with ids and personal data replaced: no half of an address is left.
   * @param text of which at least `maxCharacters` and `margin` characters are given, if it has them
   */
  cut(text: string, maxCharacters: number): string {
    return this.#prepare(text, { left: maxCharacters });
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

  #clean(text: string, maxCharacters: number, choose?: ChooseFindings): string {
    return cleanForModel(this.#prepare(text, { left: lookedAt * maxCharacters }, choose));
  }

  /** Replaces ids and personal data in a text, as far as the budget goes; what is beyond it is left out. */
  #prepare(text: string, budget: Budget, choose = allOfThem): string {
    const isCut = text.length > budget.left;
    this.#isTruncated ||= isCut;
    if (budget.left === 0) return '';
    // Cleaned before it is searched: an address that only a hidden character divides is one.
    const raw = cleanForModel(text.slice(0, budget.left + margin));
    const behind = isCut ? Math.min(margin, text.length - budget.left) : 0;
    budget.left = Math.max(0, budget.left - text.length);
    const mapped = this.#references ? this.#references.mapText(raw) : raw;
    const findings = this.#matcher ? choose(mapped, findIn(mapped, this.#matcher)) : [];
    let end = Math.max(0, mapped.length - behind);
    const inside = findings.filter(({ start }) => start < end);
    for (const finding of inside) end = Math.max(end, finding.end);
    this.#redactions += inside.length;
    return redact(mapped.slice(0, end), inside);
  }

  #write(title: string, text: string, maxCharacters: number): number {
    const heading = this.#clean(title, maxTitleCharacters).replaceAll('\n', ' ');
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
