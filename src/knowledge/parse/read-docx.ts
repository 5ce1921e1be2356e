import mammoth from 'mammoth';
import { type Block, UnreadableDocumentError } from './block.ts';
import { readHtml } from './read-html.ts';

/**
 * The blocks of a DOCX document. Its pictures are left out; nothing that it refers to is read, neither files nor addresses.
 * @throws {UnreadableDocumentError} if it is not one
 */
export async function readDocx(data: Uint8Array): Promise<Block[]> {
  const convertImage = mammoth.images.imgElement(async () => ({ src: '' }));
  try {
    const { value } = await mammoth.convertToHtml({ buffer: Buffer.from(data) }, { convertImage });
    return readHtml(value);
  } catch (cause) {
    throw new UnreadableDocumentError('The file is not a DOCX document, or it is broken or encrypted.', { cause });
  }
}
