/**
 * Divides Markdown at empty lines into pieces that mean the same alone: not inside of fenced code, and not within a list. A
 * text that grows at its end changes only its last piece.
 */
export function splitBlocks(text: string): string[] {
  const blocks: string[] = [];
  let block: string[] = [];
  let fence: string | null = null;
  let wasEmpty = false;
  for (const line of text.split('\n')) {
    const isEmpty = line.trim() === '';
    const begins = wasEmpty && !isEmpty && fence === null && !continuesList(block[0] ?? '', line);
    if (begins && block.length > 0) {
      blocks.push(block.join('\n'));
      block = [];
    }
    const [, mark] = /^ {0,3}(`{3,}|~{3,})/.exec(line) ?? [];
    if (fence === null) fence = mark ?? null;
    else if (mark?.startsWith(fence) && line.trim() === mark) fence = null;
    wasEmpty = isEmpty;
    block.push(line);
  }
  if (block.some((line) => line.trim() !== '')) blocks.push(block.join('\n'));
  return blocks;
}

const item = /^ {0,3}(?:[-*+]|\d{1,9}[.)])\s/;

function continuesList(first: string, line: string): boolean {
  return /^(?: {2}|\t)/.test(line) || (item.test(first) && item.test(line));
}
