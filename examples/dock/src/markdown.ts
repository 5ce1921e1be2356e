import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmTableFromMarkdown } from 'mdast-util-gfm-table';
import { gfmTable } from 'micromark-extension-gfm-table';
import { splitBlocks } from '../../web/src/split-blocks.ts';
import { button, element, scrolled } from './dom.ts';

type Root = ReturnType<typeof fromMarkdown>;
type Nodes = Root | Root['children'][number];
type Parents = Extract<Nodes, { readonly children: unknown }>;

/**
 * Text of a model as elements, which grow with it. It never becomes HTML: markup in it is shown as the text that it is,
 * pictures are links, which nothing loads, and links lead only to http, https and mailto.
 */
export class Markdown {
  readonly node = element('div', { class: 'prose', dir: 'auto' });
  #shown: readonly string[] = [];

  /** Shows a text. Blocks that stay as they are keep their elements, and with them what a person has selected. */
  show(text: string): void {
    const blocks = splitBlocks(text);
    const from = blocks.findIndex((block, place) => block !== this.#shown[place]);
    const kept = from < 0 ? blocks.length : from;
    while (this.node.childElementCount > kept) this.node.lastElementChild?.remove();
    for (const block of blocks.slice(kept)) this.node.append(element('div', {}, ...renderBlock(block)));
    this.#shown = blocks;
  }
}

function renderBlock(text: string): Node[] {
  return renderAll(fromMarkdown(text, { extensions: [gfmTable()], mdastExtensions: [gfmTableFromMarkdown()] }));
}

const renderAll = (parent: Parents): Node[] => parent.children.flatMap(render);

const headings = { 1: 'h3', 2: 'h4', 3: 'h5', 4: 'h6', 5: 'h6', 6: 'h6' } as const;

function render(node: Nodes): Node | Node[] {
  switch (node.type) {
    case 'text':
    case 'html':
      return document.createTextNode(node.value);
    case 'paragraph':
      return element('p', { dir: 'auto' }, ...renderAll(node));
    case 'heading':
      return element(headings[node.depth], { dir: 'auto' }, ...renderAll(node));
    case 'strong':
      return element('strong', {}, ...renderAll(node));
    case 'emphasis':
      return element('em', {}, ...renderAll(node));
    case 'inlineCode':
      return element('code', {}, node.value);
    case 'code':
      return renderCode(node.lang || 'text', node.value);
    case 'blockquote':
      return element('blockquote', { dir: 'auto' }, ...renderAll(node));
    case 'list':
      return node.ordered
        ? element('ol', { start: String(node.start ?? 1) }, ...renderAll(node))
        : element('ul', {}, ...renderAll(node));
    case 'listItem':
      return element('li', { dir: 'auto' }, ...renderAll(node));
    case 'link':
      return renderLink(node.url, renderAll(node));
    case 'image':
      return renderLink(node.url, [document.createTextNode(node.alt || node.url)]);
    case 'thematicBreak':
      return element('hr');
    case 'break':
      return element('br');
    case 'table': {
      const [head, ...rows] = node.children.map((row, place) =>
        element(
          'tr',
          {},
          ...row.children.map((cell) =>
            element(place === 0 ? 'th' : 'td', {}, element('span', {}, ...renderAll(cell))),
          ),
        ),
      );
      const table = element('table', {}, element('thead', {}, ...(head ? [head] : [])), element('tbody', {}, ...rows));
      return element('section', { class: 'table', dir: 'auto', tabindex: '0', 'aria-label': 'Table' }, table);
    }
    default:
      return 'children' in node ? renderAll(node) : [];
  }
}

function renderLink(url: string, children: Node[]): Node | Node[] {
  if (!URL.canParse(url) || !['http:', 'https:', 'mailto:'].includes(new URL(url).protocol)) return children;
  return element('a', { href: url, target: '_blank', rel: 'noreferrer noopener nofollow' }, ...children);
}

function renderCode(language: string, code: string): Node {
  const copy = button('Copy', 'small', () => {
    void navigator.clipboard.writeText(code).then(() => {
      copy.textContent = 'Copied';
    });
  });
  return element(
    'div',
    { class: 'code', dir: 'ltr' },
    element('p', {}, element('span', {}, language), copy),
    scrolled(code),
  );
}
