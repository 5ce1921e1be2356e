/** The beginning of an answer. */
export interface ResponseStart {
  readonly bytes: Buffer;
  /** Why there is no more of it: it was too large, too late, or broke off. Null: this is all. */
  readonly cut: 'large' | 'late' | 'broken' | null;
}

/**
 * Reads an answer's body as far as it fits and comes in time, and lets go of the rest with its connection.
 * @param limits.maxBytes the most that is read
 * @param limits.timeoutMs how long it is waited for altogether, in milliseconds: what drips is cut as well
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
    // What came before it broke off is the answer.
  } finally {
    clearTimeout(timer);
    if (!ended) void reader.cancel().catch(() => {});
  }
  const bytes = Buffer.concat(chunks).subarray(0, maxBytes);
  if (length > maxBytes) return { bytes, cut: 'large' };
  // A reader that was cancelled ends as one that is done.
  if (late) return { bytes, cut: 'late' };
  return { bytes, cut: ended ? null : 'broken' };
}
