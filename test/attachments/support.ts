import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { type HttpAnswer, readAnswer, type TestApp } from '../support/app.ts';

const document = 'mutation ($file: File!) { uploadAttachment(file: $file) { id name type url size } }';

/** Uploads a file as clients do: a multipart request. @param options.type what the client says that it is */
export async function upload(
  app: Pick<TestApp, 'url'>,
  token: string,
  data: Uint8Array | string,
  { name = 'file', type = '' }: { readonly name?: string; readonly type?: string } = {},
): Promise<HttpAnswer> {
  const form = new FormData();
  form.append('operations', JSON.stringify({ query: document, variables: { file: null } }));
  form.append('map', JSON.stringify({ 0: ['variables.file'] }));
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
  form.append('0', new File([bytes], name, { type }));
  const headers = { authorization: `Bearer ${token}`, 'graphql-require-preflight': '1' };
  return readAnswer(await fetch(`${app.url}/graphql`, { method: 'POST', headers, body: form }));
}

/** As `upload`, of a file that has to be taken. @returns its id */
export async function uploadId(...args: Parameters<typeof upload>): Promise<string> {
  const { data, errors } = await upload(...args);
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data.uploadAttachment.id;
}

/** An image of one colour. */
export function picture(
  width: number,
  height: number,
  format: 'png' | 'jpeg' | 'webp' | 'gif' = 'png',
): Promise<Buffer> {
  const background = { r: 200, g: 30, b: 30 };
  return sharp({ create: { width, height, channels: 3, background } })
    .toFormat(format)
    .toBuffer();
}

/** A PDF of one page with a text on it. */
export function pdf(text: string): Buffer {
  const stream = `BT /F1 12 Tf 72 720 Td (${text}) Tj ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let file = '%PDF-1.4\n';
  const offsets = objects.map((object, index) => {
    const offset = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  return Buffer.from(
    `${file}xref\n0 6\n0000000000 65535 f \n${table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`,
  );
}

/** A PNG that says that it is very large, and has nothing in it. */
export async function bomb(): Promise<Buffer> {
  const small = await picture(1, 1);
  const large = Buffer.from(small);
  large.writeUInt32BE(20_000, 16);
  large.writeUInt32BE(20_000, 20);
  large.writeUInt32BE(crc32(large.subarray(12, 29)), 29);
  return large;
}

/** A server of this machine, which the address guard does not let through unless it is listed. */
export async function serve(answer: RequestListener) {
  const visits: { readonly url: string; readonly headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    visits.push({ url: request.url ?? '', headers: request.headers });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { port, visits, url: `http://127.0.0.1:${port}`, close, [Symbol.dispose]: close };
}
