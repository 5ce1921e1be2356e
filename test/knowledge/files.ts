import { crc32, deflateRawSync } from 'node:zlib';

/** A PDF of pages with lines of text; `encrypted`: with a password that nobody knows. */
export function makePdf(pages: readonly (readonly string[])[], { encrypted = false } = {}): Buffer {
  const objects: string[] = ['', ''];
  const add = (body: string) => objects.push(body);
  const font = add('<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>');
  const kids = pages.map((lines) => {
    const [title = '', ...rest] = lines.map((line) => line.replaceAll(/[\\()]/g, '\\$&'));
    const text = `BT /F1 20 Tf 50 780 Td (${title}) Tj ET BT /F1 11 Tf 50 740 Td 14 TL ${rest.map((line) => `(${line}) Tj T*`).join(' ')} ET`;
    const content = add(`<< /Length ${text.length} >>\nstream\n${text}\nendstream`);
    const resources = `<< /Font << /F1 ${font} 0 R >> >>`;
    return add(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 840] /Resources ${resources} /Contents ${content} 0 R >>`,
    );
  });
  objects[0] = '<< /Type /Catalog /Pages 2 0 R >>';
  objects[1] = `<< /Type /Pages /Kids [${kids.map((kid) => `${kid} 0 R`).join(' ')}] /Count ${kids.length} >>`;
  const noise = 'ab'.repeat(32);
  const lock = encrypted ? add(`<< /Filter /Standard /V 1 /R 2 /O <${noise}> /U <${noise}> /P -4 >>`) : 0;
  let file = '%PDF-1.4\n';
  const offsets = objects.map((body, index) => {
    const offset = file.length;
    file += `${index + 1} 0 obj\n${body}\nendobj\n`;
    return offset;
  });
  const start = file.length;
  const entries = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`);
  const id = lock === 0 ? '' : ` /Encrypt ${lock} 0 R /ID [<${noise}> <${noise}>]`;
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${entries.join('')}`;
  file += `trailer << /Size ${objects.length + 1} /Root 1 0 R${id} >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(file, 'latin1');
}

/** A zip archive of deflated files. */
function makeZip(files: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, data] of Object.entries(files)) {
    const packed = deflateRawSync(data);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    parts.push(Buffer.from('PK\u0003\u0004'), common, Buffer.from(name), packed);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\u0001\u0002\u0014\u0000'), common, rest, Buffer.from(name));
    offset += 4 + common.length + name.length + packed.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = Buffer.alloc(18);
  const count = Object.keys(files).length;
  end.writeUInt16LE(count, 4);
  end.writeUInt16LE(count, 6);
  end.writeUInt32LE(size, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, ...directory, Buffer.from('PK\u0005\u0006'), end]);
}

/** A DOCX document with the given body of document.xml, and anything before it. */
export function makeDocx(body: string | Buffer, prolog = ''): Buffer {
  const word = 'http://schemas.openxmlformats.org/wordprocessingml/2006/main';
  const open = `<?xml version="1.0" encoding="UTF-8"?>${prolog}<w:document xmlns:w="${word}"><w:body>`;
  const relations = 'http://schemas.openxmlformats.org/package/2006/relationships';
  const type = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument';
  const main = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml';
  return makeZip({
    '[Content_Types].xml': Buffer.from(
      `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="${main}"/></Types>`,
    ),
    '_rels/.rels': Buffer.from(
      `<Relationships xmlns="${relations}"><Relationship Id="r1" Type="${type}" Target="word/document.xml"/></Relationships>`,
    ),
    'word/document.xml': Buffer.concat([Buffer.from(open), Buffer.from(body), Buffer.from('</w:body></w:document>')]),
  });
}

/** A paragraph of a DOCX document. */
export function docxParagraph(text: string, style = ''): string {
  const properties = style === '' ? '' : `<w:pPr><w:pStyle w:val="${style}"/></w:pPr>`;
  return `<w:p>${properties}<w:r><w:t>${text}</w:t></w:r></w:p>`;
}

export const docxType = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
