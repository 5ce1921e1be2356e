import { isRecord } from '../../engine/json.ts';

/** What a provider of Chat Completions wants back with the tool calls of a step. */
export interface ChatState {
  /** Fields of the assistant message. */
  readonly message: Readonly<Record<string, unknown>>;
  /** Fields of each tool call, in order; null: none has any. */
  readonly calls: readonly (Readonly<Record<string, unknown>> | null)[] | null;
}

/** The fields of a tool call that go back with it: Gemini's signatures, directly and through proxies. */
const callFields = ['extra_content', 'thought_signature', 'provider_specific_fields'];
const maxDetails = 1_000;

/** The fields of a fragment of a tool call that its provider wants back; null: it has none. */
export function readCallExtra(fragment: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | null {
  const entries = callFields.flatMap((name) =>
    isRecord(fragment[name]) || typeof fragment[name] === 'string' ? [[name, fragment[name]] as const] : [],
  );
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

/** Collects the fields of an assistant message that its provider wants back. */
export class MessageStateCollector {
  #reasoningContent = '';
  readonly #details: Record<string, unknown>[] = [];
  #extraContent: Record<string, unknown> | null = null;

  /** DeepSeek and others refuse a step with tool calls without it. */
  addReasoningContent(delta: string): void {
    this.#reasoningContent += delta;
  }

  /** OpenRouter: parts of one text come in several entries and are one entry on the way back. */
  addDetails(details: readonly unknown[]): void {
    for (const entry of details) {
      if (!isRecord(entry) || this.#details.length >= maxDetails) continue;
      const last = this.#details.at(-1);
      const continues = last !== undefined && last.type === entry.type && last.index === entry.index && isText(entry);
      if (continues) joinTexts(last, entry);
      else this.#details.push({ ...entry });
    }
  }

  /** Gemini: the signature of a text. */
  addExtraContent(extra: unknown): void {
    if (isRecord(extra)) this.#extraContent = { ...this.#extraContent, ...extra };
  }

  /** The fields; undefined: there are none. */
  get fields(): Readonly<Record<string, unknown>> | undefined {
    const fields = {
      ...(this.#reasoningContent === '' ? {} : { reasoning_content: this.#reasoningContent }),
      ...(this.#details.length === 0 ? {} : { reasoning_details: this.#details }),
      ...(this.#extraContent === null ? {} : { extra_content: this.#extraContent }),
    };
    return Object.keys(fields).length === 0 ? undefined : fields;
  }
}

function isText(entry: Readonly<Record<string, unknown>>): boolean {
  return typeof entry.text === 'string' || typeof entry.summary === 'string' || typeof entry.signature === 'string';
}

/** Appends texts, and takes over what else the later entry has, e.g. the signature at its end. */
function joinTexts(into: Record<string, unknown>, entry: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(entry)) {
    const before = into[name];
    const isPart = (name === 'text' || name === 'summary') && typeof value === 'string' && typeof before === 'string';
    if (isPart) into[name] = before + value;
    else if (value !== null && value !== undefined) into[name] = value;
  }
}
