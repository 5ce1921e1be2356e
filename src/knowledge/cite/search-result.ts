import { z } from 'zod';
import { readId } from '../../api/ids.ts';
import type { TurnToolCall } from '../../engine/events.ts';
import { parseJson } from '../../engine/json.ts';

/** The name of the tool whose results can be cited. It is built in, so no other tool has it. */
export const searchToolName = 'search_knowledge';

/** A passage in the result of a search, as a model is given it. */
export interface ListedPassage {
  /** The number by which the model cites it, unique in the turn. */
  readonly number: number;
  /** The public id of the document. */
  readonly documentId: string;
  readonly title: string;
  /** Where the document comes from; null: from no address. */
  readonly url: string | null;
  /** The number of the passage in its document, from 1. */
  readonly position: number;
  readonly text: string;
}

/** What each line of a passage begins with. */
const linePrefix = '| ';

/** The text of a passage as a model is given it: between two lines with a code, each of its own lines with a mark. */
export function delimitPassage(text: string, nonce: string): string {
  const lines = text.split('\n').map((line) => linePrefix + line);
  return [`BEGIN ${nonce}`, ...lines, `END ${nonce}`].join('\n');
}

/** The text without what delimits it, as far as guardrails have left it. */
function readPassage(delimited: string): string {
  const lines = delimited.split('\n').filter((line) => line.startsWith(linePrefix));
  return lines.map((line) => line.slice(linePrefix.length)).join('\n');
}

/** A passage that an answer may cite. */
export interface Source extends Omit<ListedPassage, 'documentId'> {
  /** The row id of the document; null: a guardrail has replaced it. */
  readonly documentId: string | null;
  /** What was searched for: the quote is chosen by it. */
  readonly query: string;
}

const listed = z.looseObject({
  passages: z.array(
    z.looseObject({
      number: z.int().min(1),
      documentId: z.string(),
      title: z.string(),
      url: z.string().nullish(),
      position: z.int().min(1),
      text: z.string(),
    }),
  ),
});
const asked = z.looseObject({ query: z.string() });

/**
 * The passages that a call of the tool has returned, as guardrails have left them.
 * @returns none if it is another tool, has not succeeded, or was cut
 */
export function readSources({ name, status, result, arguments: written, editedArguments }: SearchCall): Source[] {
  if (name !== searchToolName || status !== 'SUCCEEDED') return [];
  const parsed = listed.safeParse(result);
  const query = asked.safeParse(parseJson(editedArguments ?? written)).data?.query ?? '';
  return (parsed.data?.passages ?? []).map(({ documentId, url, number, title, position, text }) => ({
    ...{ number, title, position, query },
    text: readPassage(text),
    documentId: readId('KnowledgeDocument', documentId),
    url: url ?? null,
  }));
}

type SearchCall = Pick<TurnToolCall, 'name' | 'status' | 'result' | 'arguments' | 'editedArguments'>;
