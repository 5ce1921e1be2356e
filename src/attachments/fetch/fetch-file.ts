import { BadUserInputError } from '../../api/errors.ts';
import { UploadedFile } from '../../api/uploaded-file.ts';
import { follow, UnreachableDocumentError } from '../../knowledge/fetch-document.ts';
import { UnreadableDocumentError } from '../../knowledge/parse/block.ts';
import type { DocumentParser } from '../../knowledge/parse/document-parser.ts';
import { findFormat, guessMediaType } from '../../knowledge/parse/media-types.ts';
import type { AddressGuard } from '../../outbound/address-guard.ts';
import { createDial } from '../../outbound/dial.ts';
import { readResponse } from '../../outbound/read-response.ts';
import { type AttachmentContent, readContent, saysType } from '../read-content.ts';

/** A file that a message has by its address, as the client has said. */
export interface AddressedFile {
  readonly name: string;
  readonly type: string;
  readonly url: string;
}

/** What an address leads to. */
export interface FetchedFile {
  readonly data: Buffer;
  /** As its server says; empty: it does not. */
  readonly mediaType: string;
}

/** What reading an address may take. */
export interface FetchBounds {
  /** The largest file, in bytes. */
  readonly maxBytes: number;
  /** From the first request to the last byte, redirects included, in milliseconds. */
  readonly timeoutMs: number;
}

/** A file cannot be read from its address. The message is a sentence for the user and the model. */
export class UnreadableAddressError extends Error {
  override readonly name = 'UnreadableAddressError';
}

/**
 * Reads a file from an address of a user, through the address guard: each redirect as well. Nothing of the user, and no cookie,
 * goes out.
 * @throws {UnreadableAddressError} if it is refused, does not answer, or is too large or too slow; the signal's reason if it is aborted
 */
export async function fetchFile(
  guard: AddressGuard,
  url: string,
  { maxBytes, timeoutMs }: FetchBounds,
  signal: AbortSignal,
): Promise<FetchedFile> {
  const late = AbortSignal.timeout(timeoutMs);
  const tooSlow = () => new UnreadableAddressError(`The address took longer than ${timeoutMs / 1_000} seconds.`);
  try {
    const dial = createDial({ guard, keepAlive: false });
    const response = await follow(dial, url, AbortSignal.any([signal, late]));
    const { bytes, cut } = await readResponse(response, { maxBytes, timeoutMs });
    signal.throwIfAborted();
    if (cut === 'large')
      throw new UnreadableAddressError(`It has more than ${maxBytes / 1_000_000} MB (ATTACHMENT_MAX_MB).`);
    if (cut === 'late' || (cut !== null && late.aborted)) throw tooSlow();
    if (cut !== null) throw new UnreadableAddressError('The connection to the address broke.');
    if (bytes.length === 0) throw new UnreadableAddressError('The address leads to an empty file.');
    return { data: bytes, mediaType: response.headers.get('content-type') ?? '' };
  } catch (error) {
    signal.throwIfAborted();
    if (late.aborted) throw tooSlow();
    if (error instanceof UnreadableDocumentError || error instanceof UnreachableDocumentError)
      throw new UnreadableAddressError(error.message, { cause: error });
    throw error;
  }
}

/**
 * Makes of what was fetched what models are given of it. Its content decides what it is, and what the client has said must agree,
 * as for uploads. What the server says counts only between kinds of texts.
 * @throws {UnreadableAddressError} if it is not what the client has said, or cannot be read as what it is
 */
export async function readFetched(
  { name, type, url }: AddressedFile,
  { data, mediaType }: FetchedFile,
  parser: Pick<DocumentParser, 'readText'>,
  signal: AbortSignal,
): Promise<AttachmentContent> {
  const guess = guessMediaType(data, new URL(url).pathname);
  const isPage = guess === 'text/html' || findFormat(mediaType) === 'html' || findFormat(type) === 'html';
  const file = new UploadedFile(data, { name: isPage && !saysType(name) ? `${name}.html` : name, mediaType: type });
  try {
    return await readContent(file, parser, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof BadUserInputError)) throw error;
    // It begins with the name of the argument of uploads.
    throw new UnreadableAddressError(error.message.replace(/^file/, 'The file'), { cause: error });
  }
}
