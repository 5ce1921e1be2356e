import { getDocumentProxy } from 'unpdf';
import { type Block, UnreadableDocumentError } from './block.ts';

/** Pages that are read at most. */
const maxPages = 2_000;
/** Lines that are so much higher than most are headings, unless they are long. */
const headingScale = 1.15;
const maxHeadingCharacters = 200;
/** A gap of so many heights between two lines ends the paragraph. */
const paragraphGap = 1.6;

interface Line {
  text: string;
  readonly height: number;
  readonly y: number;
}

/**
 * The blocks of a PDF document: its lines, joined to paragraphs by the space between them, and headings by their size.
 * @throws {UnreadableDocumentError} if it is encrypted, broken, has too many pages, or no text
 */
export async function readPdf(data: Uint8Array): Promise<Block[]> {
  const document = await openPdf(data);
  if (document.numPages > maxPages)
    throw new UnreadableDocumentError(`The PDF has ${document.numPages} pages, and at most ${maxPages} are read.`);
  const pages: Line[][] = [];
  for (let number = 1; number <= document.numPages; number++) {
    const page = await document.getPage(number);
    pages.push(readLines((await page.getTextContent()).items));
    page.cleanup();
  }
  const usual = findUsualHeight(pages.flat());
  const blocks = pages.flatMap((lines) => joinLines(lines, usual));
  if (blocks.length === 0)
    throw new UnreadableDocumentError('The PDF has no text. Pictures of text, such as scans, are not read.');
  return blocks;
}

async function openPdf(data: Uint8Array) {
  try {
    // A copy: it takes the bytes for itself, and no Buffer.
    return await getDocumentProxy(new Uint8Array(data), { useSystemFonts: false, verbosity: 0 });
  } catch (cause) {
    const isLocked = cause instanceof Error && cause.name === 'PasswordException';
    const message = isLocked
      ? 'The PDF is encrypted. Remove its password first.'
      : 'The file is not a PDF document, or it is broken.';
    throw new UnreadableDocumentError(message, { cause });
  }
}

interface TextItem {
  readonly str: string;
  readonly height: number;
  readonly hasEOL: boolean;
  readonly transform: readonly unknown[];
}

function readLines(items: readonly (TextItem | object)[]): Line[] {
  const lines: Line[] = [];
  let line: Line | null = null;
  for (const item of items) {
    if (!('str' in item)) continue;
    const y = Number(item.transform[5]);
    line ??= { text: '', height: item.height, y };
    line.text += item.str;
    if (!item.hasEOL) continue;
    lines.push(line);
    line = null;
  }
  if (line !== null) lines.push(line);
  return lines.map((entry) => ({ ...entry, text: entry.text.replaceAll(/\s+/g, ' ').trim() }));
}

/** The height of most characters. */
function findUsualHeight(lines: readonly Line[]): number {
  const characters = new Map<number, number>();
  for (const { text, height } of lines) {
    const rounded = Math.round(height);
    if (rounded > 0) characters.set(rounded, (characters.get(rounded) ?? 0) + text.length);
  }
  const [usual] = [...characters].sort((a, b) => b[1] - a[1])[0] ?? [0];
  return usual;
}

function joinLines(lines: readonly Line[], usual: number): Block[] {
  const blocks: Block[] = [];
  let paragraph: string[] = [];
  let before: Line | null = null;
  const end = () => {
    // A word that is divided at the end of a line is one word.
    const text = paragraph
      .join('\n')
      .replaceAll(/(\p{L})-\n(?=\p{Ll})/gu, '$1')
      .replaceAll('\n', ' ')
      .trim();
    if (text !== '') blocks.push({ kind: 'paragraph', text });
    paragraph = [];
  };
  for (const line of lines) {
    const isGap = before !== null && Math.abs(before.y - line.y) > paragraphGap * Math.max(usual, line.height);
    if (line.text === '' || isGap) end();
    if (line.text === '') continue;
    before = line;
    if (usual > 0 && line.height > usual * headingScale && line.text.length <= maxHeadingCharacters) {
      end();
      blocks.push({ kind: 'heading', level: line.height > usual * 1.5 ? 1 : 2, text: line.text });
    } else paragraph.push(line.text);
  }
  end();
  return blocks;
}
