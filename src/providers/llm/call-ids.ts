import { createHash } from 'node:crypto';
import type { HistoryItem } from '../../engine/ports.ts';
import type { CallIdStyle } from './quirks.ts';

/** Chat Completions takes 40 characters, the Responses API 64. */
const plainId = /^[A-Za-z0-9_-]{1,40}$/;
const anyId = /^([\x21-\x7e]{1,40}|functions\.[\w.-]{1,64}:\d+)$/;
const nineId = /^[A-Za-z0-9]{9}$/;
/** What `replaceId` returns. */
const replacedId = /^call-[0-9a-f]{32}$/;

/**
 * The history with call ids that a provider takes. An id that it would refuse is replaced by a hash of it: the same in
 * every request, for the call and its result. An id that an earlier call of the history has is replaced as well: some
 * providers want each to be unique, and ids of imported messages may repeat.
 */
export function writeCallIds(history: readonly HistoryItem[], style: CallIdStyle): HistoryItem[] {
  const used = new Set<string>();
  const timesSeen = new Map<string, number>();
  /** The written ids of the calls whose results come next, by their stored ids. */
  const open = new Map<string, string[]>();
  const writeNext = (id: string): string => {
    for (;;) {
      const seen = timesSeen.get(id) ?? 0;
      timesSeen.set(id, seen + 1);
      const written = seen === 0 ? writeCallId(id, style) : replaceId(`${id}\0${seen}`, style);
      if (used.has(written)) continue;
      used.add(written);
      return written;
    }
  };
  return history.map((item) => {
    if (item.role === 'tool') {
      return { ...item, callId: open.get(item.callId)?.shift() ?? writeCallId(item.callId, style) };
    }
    if (item.role !== 'assistant' || item.calls.length === 0) return item;
    open.clear();
    const calls = item.calls.map((call) => {
      const id = writeNext(call.id);
      open.set(call.id, [...(open.get(call.id) ?? []), id]);
      return { ...call, id };
    });
    return { ...item, calls };
  });
}

function writeCallId(id: string, style: CallIdStyle): string {
  if (style === 'nine') return nineId.test(id) ? id : replaceId(id, style);
  // An id that looks like a replacement is replaced as well: otherwise it could be the replacement of another id.
  const isKept = (style === 'plain' ? plainId : anyId).test(id) && !replacedId.test(id);
  return isKept ? id : replaceId(id, style);
}

function replaceId(id: string, style: CallIdStyle): string {
  const hash = createHash('sha256').update(id);
  // 62^9 ids: two calls of one conversation do not get the same.
  return style === 'nine' ? writeNine(hash.digest()) : `call-${hash.digest('hex').slice(0, 32)}`;
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
