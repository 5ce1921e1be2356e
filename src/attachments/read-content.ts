import { extname } from 'node:path';
import { fileTypeFromBuffer } from 'file-type';
import { badInput } from '../api/input.ts';
import type { UploadedFile } from '../api/uploaded-file.ts';
import type { AttachmentKind } from '../generated/prisma/client.ts';
import { UnreadableDocumentError } from '../knowledge/parse/block.ts';
import { decodeText } from '../knowledge/parse/decode.ts';
import type { DocumentParser } from '../knowledge/parse/document-parser.ts';
import { findAudioType } from '../providers/speech/audio-type.ts';
import { prepareImage, UnreadableImageError } from './prepare-image.ts';

/** Characters of a document that are stored for models. */
const maxTextCharacters = 200_000;
const path = ['file'];

const docx = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
const images: ReadonlySet<string> = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif']);

/** By the end of a name, the media type of a text: nothing in the content tells them apart. */
const textTypes: Readonly<Record<string, string>> = {
  '.md': 'text/markdown',
  '.markdown': 'text/markdown',
  '.html': 'text/html',
  '.htm': 'text/html',
  '.csv': 'text/csv',
  '.json': 'application/json',
  '.xml': 'application/xml',
};

/** By the end of a name, what a file says that it is: its content must agree. */
const claimedByName: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.gif': 'image/gif',
  '.pdf': 'application/pdf',
  '.docx': docx,
  '.mp3': 'audio/mpeg',
  '.wav': 'audio/wav',
  '.flac': 'audio/flac',
};

/** Whether the end of a name says what a file is. */
export function saysType(name: string): boolean {
  const end = extname(name).toLowerCase();
  return end === '.txt' || end in textTypes || end in claimedByName;
}

/** What a file is, and what models are given of it. */
export interface AttachmentContent {
  readonly kind: AttachmentKind;
  /** By the content. */
  readonly mediaType: string;
  /** Null: nothing as text. */
  readonly text: string | null;
  /** Whether the text goes on in the file. */
  readonly isTextCut: boolean;
  /** Null: it is no image. */
  readonly modelImage: Buffer<ArrayBuffer> | null;
  readonly imageTokens: number | null;
  /** What models are not given of it, and why. Null: they are given all of it. */
  readonly notice: string | null;
}

const nothing = { text: null, isTextCut: false, modelImage: null, imageTokens: null, notice: null } as const;
const unreadable = 'Models cannot read files of this type: they are told its name and type.';

/**
 * Reads what a file is by its content, and makes what models are given of it.
 * @throws {BadUserInputError} if it is not what its name or its declared type says, or cannot be read as what it is
 */
export async function readContent(
  file: UploadedFile,
  parser: Pick<DocumentParser, 'readText'>,
  signal: AbortSignal,
): Promise<AttachmentContent> {
  const { data } = file;
  // Half a header may end in an exception of the reader's: then it is no such file either.
  const found = (await fileTypeFromBuffer(data).catch(() => undefined))?.mime ?? null;
  assertAsClaimed(file, found);
  try {
    if (found !== null && images.has(found)) {
      const { data: modelImage, tokens: imageTokens } = await prepareImage(data);
      return { ...nothing, kind: 'IMAGE', mediaType: found, modelImage, imageTokens };
    }
    if (found === 'application/pdf' || found === docx) return await readDocument(data, found, parser, signal);
    if (found === null || found === 'application/xml') return await readText(file, parser, signal);
  } catch (error) {
    if (error instanceof UnreadableImageError) throw badInput(path, error.message);
    if (!(error instanceof UnreadableDocumentError)) throw error;
    throw badInput(path, `cannot be read. ${error.message}`);
  }
  const audio = file.mediaType.startsWith('video/') ? null : await findAudioType(data);
  return audio
    ? { ...nothing, kind: 'AUDIO', mediaType: audio.mediaType }
    : { ...nothing, kind: 'OTHER', mediaType: found, notice: unreadable };
}

async function readDocument(
  data: Buffer,
  mediaType: string,
  parser: Pick<DocumentParser, 'readText'>,
  signal: AbortSignal,
): Promise<AttachmentContent> {
  const { text, isCut } = await parser.readText({ data, mediaType, maxCharacters: maxTextCharacters }, signal);
  return ofText(mediaType, text, isCut);
}

/** A file of which the content says nothing is a text, or nothing that can be uploaded. */
async function readText(
  { data, name }: UploadedFile,
  parser: Pick<DocumentParser, 'readText'>,
  signal: AbortSignal,
): Promise<AttachmentContent> {
  const mediaType = textTypes[extname(name).toLowerCase()] ?? 'text/plain';
  if (mediaType === 'text/html') return readDocument(data, mediaType, parser, signal);
  const text = decodeText(data, mediaType);
  const isTextCut = text.length > maxTextCharacters;
  return ofText(mediaType, text.slice(0, maxTextCharacters).toWellFormed(), isTextCut);
}

function ofText(mediaType: string, text: string, isTextCut: boolean): AttachmentContent {
  const notice =
    text.trim() === ''
      ? 'No text was found in the file: models are told its name and type.'
      : isTextCut
        ? `Models are given the first ${maxTextCharacters.toLocaleString('en-US')} characters of its text.`
        : null;
  return { ...nothing, kind: 'TEXT', mediaType, text, isTextCut, notice };
}

/** @throws {BadUserInputError} if a file says that it is something else than its content */
function assertAsClaimed({ name, mediaType }: UploadedFile, found: string | null): void {
  for (const claimed of [
    mediaType.split(';', 1)[0]?.trim().toLowerCase(),
    claimedByName[extname(name).toLowerCase()],
  ]) {
    const family = claimed && familyOf(claimed);
    if (family && (found === null || familyOf(found) !== family))
      throw badInput(path, `must be what it says (${claimed}), and its content is ${found ?? 'something else'}`);
  }
}

/** What files are taken for that say so; null: nothing that their content would show. */
function familyOf(mediaType: string): string | null {
  if (mediaType === 'application/pdf' || mediaType === docx) return mediaType;
  if (mediaType.startsWith('image/') && mediaType !== 'image/svg+xml') return 'image';
  // Recorders write sound into containers of video.
  return /^(audio|video)\//.test(mediaType) || mediaType === 'application/ogg' ? 'media' : null;
}
