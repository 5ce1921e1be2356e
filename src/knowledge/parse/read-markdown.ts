import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmTableFromMarkdown } from 'mdast-util-gfm-table';
import { gfmTable } from 'micromark-extension-gfm-table';
import { type Block, UnreadableDocumentError } from './block.ts';

type Node = ReturnType<typeof fromMarkdown>['children'][number] | { readonly type: string };

/** Quotes and lists that may stand in each other: the time that they take grows with the square of it. */
const maxNesting = 100;
/** A line that begins with more of them; one of dashes or asterisks alone is a rule. */
const tooDeep = new RegExp(
  `^(?![ \\t]*([-*])(?:[ \\t]*\\1)*[ \\t]*$)(?:[ \\t]*(?:>|(?:[-+*]|\\d{1,9}[.)])(?=[ \\t]))){${maxNesting + 1}}`,
  'm',
);

/**
 * The blocks of a Markdown document, with the tables of GitHub. HTML in it is left out.
 * @throws {UnreadableDocumentError} if quotes and lists are nested too deep
 */
export function* readMarkdown(text: string): Generator<Block> {
  // What is before the document in many repositories: data for programs.
  const body = text.replaceAll(/\r\n?/g, '\n').replace(/^---\n[\s\S]{0,10000}?\n---\n/, '');
  if (tooDeep.test(body))
    throw new UnreadableDocumentError(`The quotes and lists of the document are nested deeper than ${maxNesting}.`);
  const tree = fromMarkdown(body, { extensions: [gfmTable()], mdastExtensions: [gfmTableFromMarkdown()] });
  for (const node of tree.children) yield* readNode(node);
}

function* readNode(node: Node): Generator<Block> {
  if (node.type === 'heading' && 'depth' in node) {
    const text = textOf(node);
    if (text !== '') yield { kind: 'heading', level: node.depth, text };
  } else if (node.type === 'code' && 'value' in node) {
    yield { kind: 'code', text: node.value };
  } else if (node.type === 'table' && 'children' in node) {
    yield { kind: 'table', rows: node.children.map((row) => childrenOf(row).map(textOf).join(' | ')) };
  } else if (node.type === 'list' && 'children' in node) {
    // A list is one paragraph, a line for each item.
    const lines = node.children.map((item) => `- ${childrenOf(item).map(textOf).join('\n')}`);
    yield { kind: 'paragraph', text: lines.join('\n') };
  } else if (node.type === 'blockquote') {
    for (const child of childrenOf(node)) yield* readNode(child);
  } else if (node.type === 'paragraph') {
    const text = textOf(node);
    if (text !== '') yield { kind: 'paragraph', text };
  }
}

function childrenOf(node: Node): readonly Node[] {
  return 'children' in node ? node.children : [];
}

/** The text that a reader sees. */
function textOf(node: Node): string {
  if (node.type === 'html') return '';
  if ('value' in node && typeof node.value === 'string') return node.value;
  if (node.type === 'break') return '\n';
  if ('alt' in node && typeof node.alt === 'string') return node.alt;
  const between = node.type === 'list' || node.type === 'blockquote' ? '\n' : '';
  return childrenOf(node).map(textOf).join(between).trim();
}
