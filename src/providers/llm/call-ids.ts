import { createHash } from 'node:crypto';
import type { CallIdStyle } from './quirks.ts';

/** Chat Completions takes 40 characters, the Responses API 64. */
const plainId = /^[A-Za-z0-9_-]{1,40}$/;
const anyId = /^([\x21-\x7e]{1,40}|functions\.[\w.-]{1,64}:\d+)$/;
const nineId = /^[A-Za-z0-9]{9}$/;
/** What `writeCallId` replaces an id with. */
const replacedId = /^call-[0-9a-f]{32}$/;

/**
 * The id of a past call as a provider takes it, for the call and for its result. An id that the provider would refuse is
 * replaced by a hash of it: the same in every request, and different for every call.
 */
export function writeCallId(id: string, style: CallIdStyle): string {
  const hash = createHash('sha256').update(id);
  // 62^9 ids: two calls of one conversation do not get the same.
  if (style === 'nine') return nineId.test(id) ? id : writeNine(hash.digest());
  // An id that looks like a replacement is replaced as well: otherwise it could be the replacement of another id.
  const isKept = (style === 'plain' ? plainId : anyId).test(id) && !replacedId.test(id);
  return isKept ? id : `call-${hash.digest('hex').slice(0, 32)}`;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function writeNine(hash: Buffer): string {
  let rest = hash.readBigUInt64BE();
  let id = '';
  while (id.length < 9) {
    id += alphabet[Number(rest % 62n)];
    rest /= 62n;
  }
  return id;
}
