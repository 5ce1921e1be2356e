import { domainToASCII } from 'node:url';

/** As much of a local part, of a label and of a whole address as mail can carry (RFC 5321, section 4.5.3.1). */
const maxLocalLength = 64;
const maxKeyLength = 318;

/** No quotes, no comments, no white space, nothing invisible: what people have as an address, in any script. */
const localPart = /^[^\s@"(),:;<>[\]\\\p{C}\p{Z}]+$/u;
const domain = /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+(?!\d+$)[a-z0-9-]{2,63}$/;

/**
 * The form of an e-mail address by which contacts are told apart: lower case, the domain as it is looked up (IDNA, so that
 * `büro.example` and `xn--bro-hoa.example` are the same). Dots and what follows a plus are left as they are: only the
 * mail server of the domain knows what they mean.
 * @param address without white space around it
 * @returns null: it is not an e-mail address
 */
export function normalizeEmail(address: string): string | null {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(0, at)).normalize('NFC').toLowerCase();
  const host = domainToASCII(address.slice(at + 1));
  if (!localPart.test(local) || local.length > maxLocalLength || !domain.test(host)) return null;
  if (local.startsWith('.') || local.endsWith('.') || local.includes('..')) return null;
  const key = `${local}@${host}`;
  return key.length > maxKeyLength ? null : key;
}
