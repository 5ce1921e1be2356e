import type { Block } from './block.ts';

/** The paragraphs of a plain text: what empty lines divide. */
export function* readText(text: string): Generator<Block> {
  for (const paragraph of text.replaceAll(/\r\n?/g, '\n').split(/\n[ \t]*\n/)) {
    const trimmed = paragraph.trim();
    if (trimmed !== '') yield { kind: 'paragraph', text: trimmed };
  }
}
