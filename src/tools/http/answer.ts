import { parseExactJson } from '../../engine/exact-json.ts';
import type { ToolOutcome } from '../../engine/ports.ts';
import { cutAnswer } from '../../engine/tool-result.ts';
import { readResponse } from '../../outbound/read-response.ts';
import { hideInJson, hideInText } from '../contract/redact.ts';

/** The maximum number of characters of a 4xx body that the model gets: they may help it to correct its call. */
const maxErrorLength = 1_000;
/** The maximum time for reading a body. The timeout of the call is shorter. */
const maxReadMs = 600_000;

/**
 * Reads the answer of an HTTP tool: JSON is parsed, with numbers as texts if they would be rounded; text stays text; only
 * as much is read as the model can get. An answer that breaks off, or has an encoding that was not requested, is an error.
 * @param maxResultLength the maximum number of characters of the answer that the model gets
 * @param secrets values that are removed from it, because a system may repeat what it was sent
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
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  const encoded = !/^(identity)?$/i.test(encoding.trim());
  const kind = encoded ? 'binary' : kindOf(type);
  if (!response.ok) {
    if (status >= 500 || kind === 'binary') {
      await response.body?.cancel();
      return { ok: false, error: `The tool answered with status ${status}.` };
    }
    const { bytes } = await readResponse(response, { maxBytes: maxErrorLength * 4, timeoutMs: maxReadMs });
    const text = hideInText(decode(bytes, type), secrets).slice(0, maxErrorLength).trim();
    return { ok: false, error: `The tool answered with status ${status}.${text === '' ? '' : ` ${text}`}` };
  }
  if (kind === 'binary') {
    await response.body?.cancel();
    const shown = hideInText((encoded ? encoding : type) ?? '', secrets).slice(0, 100);
    if (encoded) return { ok: false, error: `The tool answered in the encoding ${shown}, which it was not asked for.` };
    return { ok: false, error: `The tool answered with ${shown}, which is no text.` };
  }
  // A character has at most four bytes; JSON may contain white space, which does not count.
  const maxBytes = Math.max(65_536, maxResultLength * 4);
  const { bytes, cut } = await readResponse(response, { maxBytes, timeoutMs: maxReadMs });
  if (cut === 'broken') return { ok: false, error: 'The tool broke off its answer.' };
  if (cut === 'late') return { ok: false, error: `No answer within ${maxReadMs / 1000} seconds.` };
  const text = decode(bytes, type);
  if (cut === 'large') return { ok: true, result: cutAnswer(hideInText(text, secrets), maxResultLength) };
  if (text.trim() === '') return { ok: true, result: null };
  return { ok: true, result: readText(text, kind, secrets) };
}

/** Returns a text without the secrets; if it is JSON, its value. */
function readText(text: string, kind: 'json' | 'text', secrets: readonly string[]): unknown {
  if (kind === 'text') return hideInText(text, secrets);
  try {
    return hideInJson(parseExactJson(text).value, secrets);
  } catch {
    return hideInText(text, secrets);
  }
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
