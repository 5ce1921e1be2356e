import { type AddressGuard, AddressRefusedError } from '../outbound/address-guard.ts';
import { createDial } from '../outbound/dial.ts';
import { readResponse } from '../outbound/read-response.ts';
import { maxDocumentBytes } from './input.ts';
import { UnreadableDocumentError } from './parse/block.ts';
import { findFormat, guessMediaType, supportedMediaTypes } from './parse/media-types.ts';

const maxRedirects = 5;
/** How long the server may take for its first bytes, and then for the document, in milliseconds. */
const answerMs = 15_000;
const bodyMs = 60_000;

/** The address could not be read for now: it is tried again. The message is for the one who added the document. */
export class UnreachableDocumentError extends Error {
  override readonly name = 'UnreachableDocumentError';
}

/** What an address leads to. */
export interface FetchedDocument {
  readonly data: Buffer;
  /** As the server says; if it does not say, as the client has said, or by the content. */
  readonly mediaType: string;
}

/**
 * Reads a document from an address of a user, through the address guard: each redirect as well.
 * @param from.mediaType what the client said of it: it counts if the server says nothing, and its first bytes neither
 * @throws {UnreadableDocumentError} if it is refused, does not exist, or is too large; {@link UnreachableDocumentError}
 *   if it may be there later
 */
export async function fetchDocument(
  { guard }: { readonly guard: AddressGuard },
  from: { readonly url: string; readonly mediaType: string },
  signal: AbortSignal,
): Promise<FetchedDocument> {
  const dial = createDial({ guard, keepAlive: false });
  const response = await follow(dial, from.url, signal);
  const { bytes, cut } = await readResponse(response, { maxBytes: maxDocumentBytes, timeoutMs: bodyMs });
  if (cut === 'large') throw new UnreadableDocumentError(`The document has more than ${maxDocumentBytes} bytes.`);
  if (cut !== null)
    throw new UnreachableDocumentError(
      cut === 'late'
        ? `The address took longer than ${bodyMs / 1_000} seconds.`
        : 'The connection to the address broke.',
    );
  const said = response.headers.get('content-type') ?? '';
  if (findFormat(said) !== null) return { data: bytes, mediaType: said };
  if (said !== '' && !/^(application|binary)\/octet-stream/i.test(said))
    throw new UnreadableDocumentError(`The address leads to ${said.slice(0, 100)}: it must be ${supportedMediaTypes}.`);
  return { data: bytes, mediaType: chooseMediaType(bytes, from) };
}

/** Of what the server says nothing of. Nothing in the bytes tells Markdown, or a part of HTML, from any other text. */
function chooseMediaType(bytes: Buffer, from: { readonly url: string; readonly mediaType: string }): string {
  const guess = guessMediaType(bytes, new URL(from.url).pathname);
  const format = findFormat(from.mediaType);
  return guess === 'text/plain' && (format === 'markdown' || format === 'html') ? from.mediaType : guess;
}

/**
 * Asks an address of a user, and the addresses that it redirects to. Each request has its own headers: nothing that one server has
 * sent goes to another.
 * @param dial with the address guard
 * @returns the last response, which is OK; its body is not read yet
 * @throws {UnreadableDocumentError | UnreachableDocumentError} as {@link fetchDocument} does
 */
export async function follow(dial: typeof fetch, first: string, signal: AbortSignal): Promise<Response> {
  let url = first;
  for (let redirects = 0; redirects <= maxRedirects; redirects++) {
    const response = await request(dial, url, signal);
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return assertFound(response);
    await response.body?.cancel();
    const next = URL.parse(location, url);
    if (next === null || !/^https?:$/.test(next.protocol))
      throw new UnreadableDocumentError('The address redirects to something that is not a URL of http or https.');
    url = next.href;
  }
  throw new UnreadableDocumentError(`The address redirects more than ${maxRedirects} times.`);
}

async function request(dial: typeof fetch, url: string, signal: AbortSignal): Promise<Response> {
  const late = new AbortController();
  // Only until the answer begins: a signal that aborts later would cut off its body.
  const timer = setTimeout(() => late.abort(), answerMs);
  try {
    const headers = { accept: '*/*', 'user-agent': 'Switchboard' };
    return await dial(url, { headers, signal: AbortSignal.any([signal, late.signal]) });
  } catch (cause) {
    signal.throwIfAborted();
    const refused = findRefusal(cause);
    // Where a redirect leads is not said: it may be an address of the operator's network.
    if (refused !== null)
      throw new UnreadableDocumentError(`The address, or one that it redirects to, ${refused.why}.`);
    const message = late.signal.aborted
      ? `The address did not answer within ${answerMs / 1_000} seconds.`
      : 'The address could not be reached.';
    throw new UnreachableDocumentError(message, { cause });
  } finally {
    clearTimeout(timer);
  }
}

function findRefusal(error: unknown): AddressRefusedError | null {
  if (error instanceof AddressRefusedError) return error;
  return error instanceof Error && error.cause !== undefined ? findRefusal(error.cause) : null;
}

function assertFound(response: Response): Response {
  if (response.ok) return response;
  const message = `The address answered with the status ${response.status}.`;
  void response.body?.cancel();
  if (response.status === 429 || response.status >= 500) throw new UnreachableDocumentError(message);
  throw new UnreadableDocumentError(message);
}
