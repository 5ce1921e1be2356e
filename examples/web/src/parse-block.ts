import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmTableFromMarkdown } from 'mdast-util-gfm-table';
import { gfmTable } from 'micromark-extension-gfm-table';

export type Root = ReturnType<typeof fromMarkdown>;

const maxTrees = 300;
const trees = new Map<string, Root>();
let newest = '';

/**
 * The tree of a block of Markdown. Those of the last blocks are kept: when an answer is stored, and when one goes back to a
 * conversation, nothing is parsed again.
 */
export function parseBlock(text: string): Root {
  const known = trees.get(text);
  if (known !== undefined) return known;
  const tree = fromMarkdown(text, { extensions: [gfmTable()], mdastExtensions: [gfmTableFromMarkdown()] });
  // Of a block that grows, only what it has become is asked for again.
  if (text.startsWith(newest)) trees.delete(newest);
  newest = text;
  trees.set(text, tree);
  const [oldest] = trees.keys();
  if (trees.size > maxTrees && oldest !== undefined) trees.delete(oldest);
  return tree;
}
