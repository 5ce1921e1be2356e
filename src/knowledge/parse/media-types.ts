/** The kinds of documents that can be indexed. */
export type DocumentFormat = 'text' | 'markdown' | 'html' | 'pdf' | 'docx';

const docx = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';

/** By media type, how a document is read. */
const formats: ReadonlyMap<string, DocumentFormat> = new Map([
  ['text/plain', 'text'],
  ['text/markdown', 'markdown'],
  ['text/x-markdown', 'markdown'],
  ['text/html', 'html'],
  ['application/xhtml+xml', 'html'],
  ['application/pdf', 'pdf'],
  [docx, 'docx'],
]);

/** Of an address that was not read yet, if nobody has said one. */
export const unknownMediaType = 'application/octet-stream';

/** For messages: what a media type may be. */
export const supportedMediaTypes = `text/plain, text/markdown, text/html, application/pdf or ${docx}`;

/** How a document of a media type is read; parameters such as the charset are ignored. Null: it cannot be. */
export function findFormat(mediaType: string): DocumentFormat | null {
  const [name = ''] = mediaType.split(';');
  return formats.get(name.trim().toLowerCase()) ?? null;
}

/** The media type of a file of which nobody has said one, by its first bytes and the end of its name. */
export function guessMediaType(start: Buffer, name: string): string {
  const head = start.subarray(0, 1_024).toString('latin1').trimStart();
  if (head.startsWith('%PDF-')) return 'application/pdf';
  if (head.startsWith('PK\u0003\u0004')) return docx;
  if (/^(\ufeff|ï»¿)?<(!doctype html|html|head|body)\b/i.test(head)) return 'text/html';
  return /\.(md|markdown)$/i.test(name) ? 'text/markdown' : 'text/plain';
}
