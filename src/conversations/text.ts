/** The title of a conversation that has no title yet. */
export const untitled = 'New conversation';

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
const ellipsis = '…';

/** The maximum length of a made title, in user-perceived characters. */
const maxTitleLength = 60;
/** The limit of the column, in code points; one emoji can have a dozen. */
const maxTitleCodePoints = 200;
/** The part of a message that its preview is first made of, in UTF-16 code units for each character of the preview. */
const unitsPerCharacter = 4;
const isAscii = /^[\x20-\x7e]*$/;
/** Visible ASCII with single spaces between: it is on one line already. */
const isLine = /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/;
/** The part of a message that can become its title, in UTF-16 code units. */
const maxTitleSource = 2_000;

/**
 * Makes a title from the first user message: its beginning on one line, cut at a word.
 * @returns `New conversation` if the message has no visible text
 */
export function makeTitle(content: string): string {
  const line = collapse(sliceWellFormed(content.trimStart(), maxTitleSource));
  const whole = cutGraphemes(line, maxTitleLength, maxTitleCodePoints);
  if (whole === line) return line === '' ? untitled : line;
  const cut = cutGraphemes(line, maxTitleLength - 1, maxTitleCodePoints - 1);
  const space = cut.lastIndexOf(' ');
  const endsAtWord = line.charAt(cut.length) === ' ';
  const words = (endsAtWord || space <= 0 ? cut : cut.slice(0, space)).trimEnd();
  return words === '' ? untitled : words + ellipsis;
}

/**
 * Makes a preview: the beginning of a text on one line.
 * @param length the maximum length in user-perceived characters, ellipsis included; no combined emoji is split
 */
export function makePreview(content: string, length: number): string {
  const preview = makePreviewOfBeginning(content, length);
  if (preview !== null) return preview;
  const line = collapse(content);
  return cutLine(line, length) ?? line;
}

/** So much of a text is enough for most of its previews of a length, in code points: {@link makePreviewOfBeginning}. */
export function previewSourceLength(length: number): number {
  return length * unitsPerCharacter + 1;
}

/**
 * Makes a preview of the beginning of a text: a list must not go through whole messages.
 * @param content the text, or at least {@link previewSourceLength} of it
 * @returns null if the whole text has to be looked at
 */
export function makePreviewOfBeginning(content: string, length: number): string | null {
  if (content.length <= length * unitsPerCharacter) return null;
  const beginning = content.slice(0, length + 1);
  // Most texts begin like this, and have nothing to collapse up to where they are cut.
  if (isLine.test(beginning)) return cutAscii(beginning, length);
  // If it has room for more characters, the rest of the text may fill it.
  return cutLine(collapse(sliceWellFormed(content, length * unitsPerCharacter)), length);
}

/** The beginning of a line that is longer than a number of characters, with an ellipsis. Null: the line is not longer. */
function cutLine(line: string, length: number): string | null {
  if (line.length <= length) return null;
  const noLimit = Number.POSITIVE_INFINITY;
  // Between two characters of ASCII there is always a boundary, so that they need not be segmented.
  if (isAscii.test(line.slice(0, length + 1))) return cutAscii(line, length);
  if (cutGraphemes(line, length, noLimit) === line) return null;
  return cutGraphemes(line, length - 1, noLimit).trimEnd() + ellipsis;
}

function cutAscii(line: string, length: number): string {
  return line.slice(0, length - 1).trimEnd() + ellipsis;
}

/** The longest beginning of a text within both limits. */
function cutGraphemes(text: string, maxGraphemes: number, maxCodePoints: number): string {
  let end = 0;
  let count = 0;
  let points = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    count += 1;
    points += [...segment].length;
    if (count > maxGraphemes || points > maxCodePoints) break;
    end = index + segment.length;
  }
  return text.slice(0, end);
}

/** Puts a text on one line: whitespace and control characters become single spaces. */
function collapse(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}

function sliceWellFormed(text: string, length: number): string {
  const cut = text.slice(0, length);
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}
