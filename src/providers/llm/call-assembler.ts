import { isRecord, parseJson } from '../../engine/json.ts';
import type { AssembledCall } from './step.ts';

/** A fragment of a tool call. Every field but the arguments is empty if the fragment does not have it. */
export interface CallFragment {
  /** Undefined: the server sends none. */
  readonly index: number | undefined;
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
  /** Data that goes back to the provider with the call. */
  readonly extra: Readonly<Record<string, unknown>> | null;
}

interface OpenCall {
  id: string;
  name: string;
  arguments: string;
  extra: Readonly<Record<string, unknown>> | null;
  /** Characters that were parsed to find out whether the arguments are whole. */
  parsed: number;
}

/** So many characters of one call are parsed: whoever ends each fragment with a brace must not cost the square of all. */
const maxParsed = 16 * 1024 * 1024;

/**
 * Assembles tool calls from the fragments of a Chat Completions stream. As documented, a fragment belongs to the call of
 * its index. Compatible servers leave the index out or send the same for every call, leave out ids, repeat the name in
 * every fragment, or cut the name into pieces, so a fragment is also judged by what is already known of the call.
 */
export class CallAssembler {
  readonly #offered: ReadonlySet<string>;
  readonly #calls: OpenCall[] = [];
  readonly #byIndex = new Map<number, OpenCall>();

  /** @param offered the names of the tools that the model was offered */
  constructor(offered: Iterable<string>) {
    this.#offered = new Set(offered);
  }

  get calls(): readonly AssembledCall[] {
    return this.#calls;
  }

  /** The data that goes back with each call, in the order of the calls; null: none has any. */
  get extras(): readonly (Readonly<Record<string, unknown>> | null)[] | null {
    return this.#calls.some(({ extra }) => extra !== null) ? this.#calls.map(({ extra }) => extra) : null;
  }

  /** @returns how many characters the fragment has added, and how many the arguments of its call have now */
  push(fragment: CallFragment): { readonly added: number; readonly argumentsLength: number } {
    const { index, id, name, extra } = fragment;
    const known = index === undefined ? this.#calls.at(-1) : (this.#byIndex.get(index) ?? this.#findNameless(fragment));
    if (known === undefined || this.#begins(known, fragment)) {
      const call: OpenCall = { id, name, arguments: fragment.arguments, extra, parsed: 0 };
      if (index !== undefined) this.#byIndex.set(index, call);
      this.#calls.push(call);
      const argumentsLength = fragment.arguments.length;
      return { added: id.length + name.length + argumentsLength + 1, argumentsLength };
    }
    const before = known.name.length + known.arguments.length;
    const isRepeated = id !== '' && id === known.id && name !== '' && fragment.arguments === known.arguments;
    if (known.id === '') known.id = id;
    if (known.name === '') known.name = name;
    else if (this.#continuesName(known, name)) known.name += name;
    if (!isRepeated || !isWhole(known)) known.arguments += fragment.arguments;
    if (extra !== null) known.extra = { ...known.extra, ...extra };
    const argumentsLength = known.arguments.length;
    return { added: known.name.length + argumentsLength - before, argumentsLength };
  }

  /** A fragment of an unknown index that only has arguments continues the last call: a call begins with its name. */
  #findNameless({ id, name }: CallFragment): OpenCall | undefined {
    return id === '' && name === '' ? this.#calls.at(-1) : undefined;
  }

  #begins(known: OpenCall, { id, name, arguments: text }: CallFragment): boolean {
    if (name === '' || known.name === '') return false;
    if (id !== '' && known.id !== '') return id !== known.id;
    if (isWhole(known)) return name !== known.name || text !== '';
    // The arguments are incomplete, or have not begun.
    if (name === known.name || this.#continuesName(known, name)) return false;
    return this.#offered.has(name) && (known.arguments === '' || !this.#offered.has(known.name + name));
  }

  /** Whether a name is the next piece of the name of a call. */
  #continuesName(known: OpenCall, piece: string): boolean {
    if (piece === '' || known.arguments !== '' || piece === known.name) return false;
    if (this.#offered.has(known.name + piece)) return true;
    if (this.#offered.has(known.name) || this.#offered.has(piece)) return false;
    return true;
  }
}

/** Whether the arguments are a complete JSON object. */
function isWhole(call: OpenCall): boolean {
  const text = call.arguments;
  if (call.parsed > maxParsed || !text.trimEnd().endsWith('}')) return false;
  call.parsed += text.length;
  return isRecord(parseJson(text));
}
