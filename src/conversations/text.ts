/** The title of a conversation that has none yet. */
export const untitled = 'New conversation';

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
const ellipsis = '…';

/** Titles are made of at most this many user-perceived characters. */
const titleLength = 60;
/** The database's own bound, in code points; one emoji can have a dozen. */
const titleCodePoints = 200;
/** How much of a message is looked at for its title, in UTF-16 code units. */
const titleSource = 2_000;

/**
 * A title from the first user message: its beginning on one line, cut at a word.
 * @returns `New conversation` where the message has nothing to show
 */
export function makeTitle(content: string): string {
  const line = collapse(sliceWellFormed(content.trimStart(), titleSource));
  const whole = cutGraphemes(line, titleLength, titleCodePoints);
  if (whole === line) return line === '' ? untitled : line;
  const cut = cutGraphemes(line, titleLength - 1, titleCodePoints - 1);
  const space = cut.lastIndexOf(' ');
  const endsAtWord = line.charAt(cut.length) === ' ';
  const words = (endsAtWord || space <= 0 ? cut : cut.slice(0, space)).trimEnd();
  return words === '' ? untitled : words + ellipsis;
}

/**
 * The beginning of a text on one line, at most `length` user-perceived characters, the ellipsis included.
 * A surrogate pair or a combined emoji is never split.
 */
export function makePreview(content: string, length: number): string {
  const line = collapse(content);
  const whole = cutGraphemes(line, length, Number.POSITIVE_INFINITY);
  return whole === line ? line : cutGraphemes(line, length - 1, Number.POSITIVE_INFINITY).trimEnd() + ellipsis;
}

/** The longest beginning that has at most so many graphemes and code points. */
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

/** On one line: whitespace and control characters become single spaces. */
function collapse(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}

function sliceWellFormed(text: string, length: number): string {
  const cut = text.slice(0, length);
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}
