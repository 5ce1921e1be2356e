/** The beginning of a response body. */
export interface ResponseStart {
  readonly bytes: Buffer;
  /** Why the rest is missing: the body was too large, too slow, or the connection broke. Null: it is complete. */
  readonly cut: 'large' | 'late' | 'broken' | null;
}

/**
 * Reads a response body up to a size and a time, and then closes its connection.
 * @param limits.maxBytes bytes to read, at most
 * @param limits.timeoutMs how long the whole body may take, in milliseconds, however steadily it arrives
 */
export async function readResponse(
  response: Response,
  { maxBytes, timeoutMs }: { readonly maxBytes: number; readonly timeoutMs: number },
): Promise<ResponseStart> {
  const reader = response.body?.getReader();
  if (reader === undefined) return { bytes: Buffer.alloc(0), cut: null };
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void reader.cancel().catch(() => {});
  }, timeoutMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  let ended = false;
  try {
    while (!ended && length <= maxBytes) {
      const { done, value } = await reader.read();
      ended = done;
      if (value === undefined) continue;
      chunks.push(value);
      length += value.length;
    }
  } catch {
    // The bytes before the connection broke are returned.
  } finally {
    clearTimeout(timer);
    if (!ended) void reader.cancel().catch(() => {});
  }
  const bytes = Buffer.concat(chunks).subarray(0, maxBytes);
  if (length > maxBytes) return { bytes, cut: 'large' };
  // A cancelled reader looks like one that is done.
  if (late) return { bytes, cut: 'late' };
  return { bytes, cut: ended ? null : 'broken' };
}
