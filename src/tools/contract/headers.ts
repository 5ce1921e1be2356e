import { z } from 'zod';
import { list, text } from '../../api/input.ts';

/** Headers that only the server may set, or that belong to one connection (RFC 9110, section 7.6.1). */
const reserved =
  /^(host|content-length|content-type|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|accept-encoding|idempotency-key|mcp-.*|proxy-.*|x-switchboard-.*)$/;
const secretOnly = /^(authorization|cookie)$/;

const maxHeaders = 32;

/** The name of a header, in lower case. */
const headerName = z
  .string({ error: 'must be the name of a header' })
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, 'must be the name of a header, 1 to 64 characters long')
  .transform((name) => name.toLowerCase())
  .refine((name) => !reserved.test(name), 'is a header that the server writes itself');

/** The value of a header: one line of visible characters. */
const headerValue = text(1, 4_096).refine(
  (value) => /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/.test(value),
  'must be one line of visible Latin-1 characters, without blanks around it',
);

const plainHeader = z.strictObject({
  name: headerName.refine((name) => !secretOnly.test(name), 'is a secret: give it in secretHeaders'),
  value: headerValue,
});
const secretHeader = z.strictObject({ name: headerName, value: headerValue.nullish() });

const unique = (headers: readonly { readonly name: string }[], context: z.RefinementCtx) => {
  const seen = new Set<string>();
  for (const [index, { name }] of headers.entries()) {
    if (seen.has(name)) context.addIssue({ code: 'custom', message: 'is duplicated', path: [index, 'name'] });
    seen.add(name);
  }
};

/** Headers that are not secret: `[{ name, value }]`. */
export const plainHeaders = list(plainHeader, maxHeaders).superRefine(unique);
/** Headers that are stored encrypted. A null value removes one. */
export const secretHeaders = list(secretHeader, maxHeaders).superRefine(unique);

/** The column of plain headers. */
const storedHeaders = z.record(z.string(), z.string());

/** Parses the plain headers of a row. */
export function readHeaders(column: unknown): Record<string, string> {
  return storedHeaders.parse(column);
}

/** Returns headers as an object for the row. */
export function headersOf(headers: readonly { readonly name: string; readonly value: string }[]) {
  return Object.fromEntries(headers.map(({ name, value }) => [name, value]));
}

/** Headers of an operator's file: `name: value`. They may contain secrets, because only the operator reads the file. */
export const fileHeaders = z.record(headerName, headerValue);

/** Returns plain headers in the form of the graph. */
export function listHeaders(column: unknown): { name: string; value: string }[] {
  return Object.entries(readHeaders(column)).map(([name, value]) => ({ name, value }));
}
