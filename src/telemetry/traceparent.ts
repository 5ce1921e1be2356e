import type { SpanContext } from '@opentelemetry/api';

/** Version 00 of the header; later versions may append fields, which are ignored (W3C Trace Context, section 4). */
const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** The longest header that is read. */
const maxLength = 512;

/**
 * Reads a `traceparent`.
 * @returns null: it is absent or not valid, and a new trace begins
 */
export function parseTraceparent(value: unknown): SpanContext | null {
  if (typeof value !== 'string' || value.length > maxLength) return null;
  const [, version, traceId = '', spanId = '', flags = '', rest] = form.exec(value.trim()) ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}

/** Writes a `traceparent`. */
export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 1).toString(16).padStart(2, '0')}`;
}
