import { Busboy, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';

/** One part of a multipart/form-data body (RFC 7578). */
export interface Part {
  readonly name: string;
  /** As it was sent; in a field that is not a file, text in UTF-8. */
  readonly data: Buffer;
  /** Of a file: its name and its media type, as the client gave them; empty: it gave none. */
  readonly fileName: string;
  readonly mediaType: string;
}

/** A body that is not valid multipart/form-data; the message says why, for the client. */
export class MalformedMultipartError extends Error {
  override readonly name = 'MalformedMultipartError';
}

const maxHeaderBytes = 4_096;
const maxHeaders = 20;

/**
 * Splits a body into its parts. The data of files is not copied.
 * @param contentType of the request, with the boundary
 * @param limits.parts how many parts there may be
 * @param limits.fieldBytes how many bytes of a field are read; the limit of a file is that of the body
 * @throws {MalformedMultipartError} if the body is malformed, or exceeds a limit
 */
export async function parseMultipart(
  body: Buffer,
  contentType: string,
  limits: { readonly parts: number; readonly fieldBytes: number },
): Promise<Part[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Part[]>();
  const parts: Part[] = [];
  const fail = (message: string) => reject(new MalformedMultipartError(message));
  const add = (name: string | undefined, data: Buffer, file = { fileName: '', mediaType: '' }) => {
    if (name === undefined) fail('A part has no name.');
    else parts.push({ name, data, ...file });
  };
  const parser = openParser(contentType, limits);
  parser.on('field', (name: string | undefined, value, _nameCut, isCut) => {
    if (isCut) fail(`A field has more than ${limits.fieldBytes} bytes.`);
    else add(name, Buffer.from(value));
  });
  parser.on('file', (name: string | undefined, file, fileName: string | undefined, _encoding, mediaType) => {
    const pieces: Buffer[] = [];
    file.on('data', (piece: Buffer) => pieces.push(piece));
    file.on('error', () => fail('It ends before its last boundary.'));
    file.on('end', () => {
      const [only, ...more] = pieces;
      const data = only !== undefined && more.length === 0 ? only : Buffer.concat(pieces);
      add(name, data, { fileName: fileName ?? '', mediaType });
    });
  });
  parser.on('partsLimit', () => fail(`It has more than ${limits.parts} parts.`));
  parser.on('error', () => fail('Its last boundary is missing.'));
  parser.on('finish', () => {
    if (parts.length === 0) fail('It has no part with a name.');
    else resolve(parts);
  });
  parser.end(body);
  return promise;
}

function openParser(
  contentType: string,
  limits: { readonly parts: number; readonly fieldBytes: number },
): BusboyInstance {
  const headers: BusboyHeaders = { 'content-type': contentType };
  try {
    return new Busboy({
      headers,
      limits: {
        parts: limits.parts,
        fieldSize: limits.fieldBytes,
        headerPairs: maxHeaders,
        headerSize: maxHeaderBytes,
      },
    });
  } catch {
    throw new MalformedMultipartError('The Content-Type has no boundary.');
  }
}
