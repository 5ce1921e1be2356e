import { Fragment, memo, type ReactNode } from 'react';
import { CopyButton } from './copy-button.tsx';
import { parseBlock, type Root } from './parse-block.ts';
import { splitBlocks } from './split-blocks.ts';

type Nodes = Root | Root['children'][number];
type Parents = Extract<Nodes, { readonly children: unknown }>;
type Table = Extract<Nodes, { readonly type: 'table' }>;

/** What the numbers in square brackets of a text lead to. */
export type Cite = (index: number) => ReactNode;

/**
 * Text of a model as elements. It never becomes HTML: markup in it is shown as the text that it is, pictures are links, which
 * nothing loads, and links lead only to http, https and mailto. Blocks that are complete are not parsed again while the text
 * grows.
 */
export function Markdown({ text, cite }: { readonly text: string; readonly cite?: Cite | undefined }) {
  return (
    <div className="prose" dir="auto">
      {splitBlocks(text).map((block, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: blocks are only added at the end
        <Block key={index} text={block} cite={cite} />
      ))}
    </div>
  );
}

const Block = memo(({ text, cite }: { readonly text: string; readonly cite: Cite | undefined }) => (
  <>{renderAll(parseBlock(text), cite)}</>
));

function renderAll(parent: Parents, cite: Cite | undefined): ReactNode[] {
  // biome-ignore lint/suspicious/noArrayIndexKey: the tree is rendered anew as a whole
  return parent.children.map((node, index) => <Fragment key={index}>{render(node, cite)}</Fragment>);
}

const headings = { 1: 'h3', 2: 'h4', 3: 'h5', 4: 'h6', 5: 'h6', 6: 'h6' } as const;

function render(node: Nodes, cite: Cite | undefined): ReactNode {
  switch (node.type) {
    case 'text':
      return cite ? renderCitations(node.value, cite) : node.value;
    case 'html':
      return node.value;
    case 'paragraph':
      return <p dir="auto">{renderAll(node, cite)}</p>;
    case 'heading': {
      const Heading = headings[node.depth];
      return <Heading dir="auto">{renderAll(node, cite)}</Heading>;
    }
    case 'strong':
      return <strong>{renderAll(node, cite)}</strong>;
    case 'emphasis':
      return <em>{renderAll(node, cite)}</em>;
    case 'inlineCode':
      return <code>{node.value}</code>;
    case 'code':
      return <CodeBlock language={node.lang ?? ''} code={node.value} />;
    case 'blockquote':
      return <blockquote dir="auto">{renderAll(node, cite)}</blockquote>;
    case 'list':
      return node.ordered ? <ol start={node.start ?? 1}>{renderAll(node, cite)}</ol> : <ul>{renderAll(node, cite)}</ul>;
    case 'listItem': {
      const [only, ...more] = node.children;
      const isTight = !node.spread && only?.type === 'paragraph';
      return (
        <li dir="auto">
          {isTight ? renderAll(only, cite) : only && render(only, cite)}
          {renderAll({ ...node, children: more }, cite)}
        </li>
      );
    }
    case 'link':
      return <SafeLink url={node.url}>{renderAll(node, cite)}</SafeLink>;
    case 'image':
      return <SafeLink url={node.url}>{node.alt || node.url}</SafeLink>;
    case 'thematicBreak':
      return <hr />;
    case 'break':
      return <br />;
    case 'table':
      return renderTable(node, cite);
    default:
      return 'children' in node ? renderAll(node, cite) : null;
  }
}

/** A table begins on the side where the letters of its first word begin: cells with a direction of their own would hide it. */
function renderTable({ children: [head, ...rows] }: Table, cite: Cite | undefined): ReactNode {
  const cells = (row: Table['children'][number], Cell: 'th' | 'td') =>
    row.children.map((cell, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its place
      <Cell key={index}>
        <span>{renderAll(cell, cite)}</span>
      </Cell>
    ));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it
    <section className="table" dir="auto" tabIndex={0} aria-label="Table">
      <table>
        {head && (
          <thead>
            <tr>{cells(head, 'th')}</tr>
          </thead>
        )}
        <tbody>
          {rows.map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place
            <tr key={index}>{cells(row, 'td')}</tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function renderCitations(text: string, cite: Cite): ReactNode {
  // The numbers are every second piece.
  return text.split(/\[(\d{1,3})\]/).map((piece, place) => {
    const shown = place % 2 === 0 ? piece : (cite(Number(piece)) ?? `[${piece}]`);
    // biome-ignore lint/suspicious/noArrayIndexKey: a piece is its place
    return <Fragment key={place}>{shown}</Fragment>;
  });
}

/** A link, if its address is of a kind that runs nothing. */
export function SafeLink({ url, children }: { readonly url: string; readonly children: ReactNode }) {
  if (!URL.canParse(url) || !['http:', 'https:', 'mailto:'].includes(new URL(url).protocol)) return <>{children}</>;
  return (
    <a href={url} target="_blank" rel="noreferrer noopener nofollow">
      {children}
    </a>
  );
}

function CodeBlock({ language, code }: { readonly language: string; readonly code: string }) {
  return (
    <div className="code" dir="ltr">
      <div className="code-head">
        <span>{language || 'text'}</span>
        <CopyButton text={code} label="Copy code" />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it */}
      <pre tabIndex={0}>
        <code>{code}</code>
      </pre>
    </div>
  );
}
