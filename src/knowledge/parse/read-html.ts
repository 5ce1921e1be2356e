import { Parser } from 'htmlparser2';
import { type Block, UnreadableDocumentError } from './block.ts';

/** Elements whose text nobody reads. */
const hidden = new Set(['script', 'style', 'noscript', 'template', 'svg', 'iframe', 'object', 'canvas', 'head', 'nav']);
/** Elements that stand in the line of the text around them. */
const inline = new Set(
  'a abbr b bdi bdo cite code data del dfn em font i img input ins kbd label mark q s samp small span strong sub sup time tt u var wbr'.split(
    ' ',
  ),
);

/** Tags that may be open at the same time: to close one, the parser looks through those that are open. */
const maxDepth = 5_000;

/**
 * The blocks of an HTML document. It is read tag by tag, without a tree. Scripts and styles are left out.
 * @throws {UnreadableDocumentError} if tags are nested too deep
 */
export function readHtml(html: string): Block[] {
  const reader = new HtmlReader();
  const parser = new Parser({
    onopentagname: (name) => reader.open(name),
    onclosetag: (name) => reader.close(name),
    ontext: (text) => reader.add(text),
  });
  parser.write(html);
  parser.end();
  reader.flush();
  return reader.blocks;
}

class HtmlReader {
  readonly blocks: Block[] = [];
  readonly #text: string[] = [];
  #depth = 0;
  #hidden = 0;
  #preformatted = 0;
  #heading = 0;
  #tables = 0;
  #rows: string[] = [];
  #cells: string[] = [];

  open(name: string): void {
    this.#depth += 1;
    if (this.#depth > maxDepth)
      throw new UnreadableDocumentError(`The tags of the document are nested deeper than ${maxDepth}.`);
    if (hidden.has(name)) this.#hidden += 1;
    if (this.#hidden > 0) return;
    if (name === 'br') this.#text.push('\n');
    else if (name === 'td' || name === 'th') this.#endCell();
    else if (!inline.has(name)) this.flush();
    if (name === 'pre') this.#preformatted += 1;
    else if (name === 'table') this.#tables += 1;
    else if (name === 'li') this.#text.push('- ');
    else if (/^h[1-6]$/.test(name)) this.#heading = Number(name[1]);
  }

  close(name: string): void {
    this.#depth -= 1;
    if (hidden.has(name)) {
      this.#hidden = Math.max(0, this.#hidden - 1);
      return;
    }
    if (this.#hidden > 0 || inline.has(name) || name === 'br') return;
    if (name === 'tr') this.#endRow();
    else if (name === 'td' || name === 'th') this.#endCell();
    else this.flush();
    if (name === 'pre') this.#preformatted = Math.max(0, this.#preformatted - 1);
    else if (name === 'table') this.#endTable();
    else if (/^h[1-6]$/.test(name)) this.#heading = 0;
  }

  add(text: string): void {
    if (this.#hidden === 0) this.#text.push(this.#preformatted > 0 ? text : text.replaceAll(/\s+/g, ' '));
  }

  /** Ends the block whose text is being read. In a table, cells have no blocks of their own. */
  flush(): void {
    if (this.#tables > 0) {
      if (this.#text.length > 0) this.#text.push(' ');
      return;
    }
    const raw = this.#takeText();
    const text = this.#preformatted > 0 ? raw.replace(/^\n|\s+$/g, '') : raw.trim();
    if (text === '' || text === '-') return;
    if (this.#heading > 0) this.blocks.push({ kind: 'heading', level: this.#heading, text });
    else this.blocks.push({ kind: this.#preformatted > 0 ? 'code' : 'paragraph', text });
  }

  #takeText(): string {
    const text = this.#text.join('');
    this.#text.length = 0;
    return text;
  }

  #endCell(): void {
    if (this.#tables === 0) {
      this.flush();
      return;
    }
    const text = this.#takeText().replaceAll(/\s+/g, ' ').trim();
    if (text !== '') this.#cells.push(text);
  }

  #endRow(): void {
    this.#endCell();
    if (this.#cells.length > 0) this.#rows.push(this.#cells.join(' | '));
    this.#cells = [];
  }

  #endTable(): void {
    this.#endRow();
    this.#tables = Math.max(0, this.#tables - 1);
    if (this.#tables > 0 || this.#rows.length === 0) return;
    this.blocks.push({ kind: 'table', rows: this.#rows });
    this.#rows = [];
  }
}
