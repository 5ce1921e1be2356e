import type { ToolOutcome } from '../engine/ports.ts';
import { readResponse } from '../providers/read-response.ts';
import { hideInJson, hideInText } from './secret-values.ts';

/** Characters of a client error's body that a model is shown: they may help it mend its call. */
const maxErrorLength = 1_000;
/** A body is read at most so long: the timeout of the call is shorter. */
const longestReadMs = 600_000;

/**
 * Reads what an HTTP tool answered: JSON parsed, text as text; no more of it than fits.
 * @param maxResultLength the most characters of the answer that a model is given
 * @param secrets what is taken out of it, in case its system sends back what it was sent
 */
export async function readAnswer(
  response: Response,
  maxResultLength: number,
  secrets: readonly string[],
): Promise<ToolOutcome> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    await response.body?.cancel();
    return { ok: false, error: `The tool answered with status ${status}: redirects are not followed.` };
  }
  const type = response.headers.get('content-type');
  const kind = kindOf(type);
  if (!response.ok) {
    if (status >= 500 || kind === 'binary') {
      await response.body?.cancel();
      return { ok: false, error: `The tool answered with status ${status}.` };
    }
    const { bytes } = await readResponse(response, { maxBytes: maxErrorLength * 4, timeoutMs: longestReadMs });
    const text = hideInText(decode(bytes, type), secrets).slice(0, maxErrorLength).trim();
    return { ok: false, error: `The tool answered with status ${status}.${text === '' ? '' : ` ${text}`}` };
  }
  if (kind === 'binary') {
    await response.body?.cancel();
    return {
      ok: false,
      error: `The tool answered with ${hideInText(type ?? '', secrets).slice(0, 100)}, which is no text.`,
    };
  }
  // A character has at most four bytes; what is parsed may be written with blanks that are not counted.
  const maxBytes = Math.max(65_536, maxResultLength * 4);
  const { bytes, cut } = await readResponse(response, { maxBytes, timeoutMs: longestReadMs });
  const text = hideInText(decode(bytes, type), secrets);
  if (cut !== null) return { ok: true, result: cutAnswer(text, maxResultLength) };
  if (text.trim() === '') return { ok: true, result: null };
  if (kind !== 'json') return { ok: true, result: text };
  try {
    // JSON may write them in another way.
    return { ok: true, result: hideInJson(JSON.parse(text), secrets) };
  } catch {
    return { ok: true, result: text };
  }
}

/** The beginning of a text as a result that is no longer than so many characters as JSON, and says that it was cut. */
export function cutAnswer(text: string, maxLength: number): { truncated: true; text: string } {
  const cut = (length: number) => ({ truncated: true as const, text: text.slice(0, length).toWellFormed() });
  // Quotes, line ends and control characters are longer as JSON: the longest beginning that fits is looked for by halves.
  let fits = 0;
  let tooLong = Math.min(text.length, maxLength) + 1;
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2);
    if (JSON.stringify(cut(middle)).length <= maxLength) fits = middle;
    else tooLong = middle;
  }
  return cut(fits);
}

function kindOf(contentType: string | null): 'json' | 'text' | 'binary' {
  const type = (contentType ?? 'text/plain').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (/^[\w.-]+\/(?:[\w.-]+\+)?json$/.test(type)) return 'json';
  const textual = /^text\/|[/+]xml$|^application\/(x-ndjson|jsonl|yaml|x-yaml|javascript|x-www-form-urlencoded)$/;
  return textual.test(type) ? 'text' : 'binary';
}

function decode(bytes: Uint8Array, contentType: string | null): string {
  const label = /;\s*charset="?([\w-]{1,40})/i.exec(contentType ?? '')?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(label).decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}
