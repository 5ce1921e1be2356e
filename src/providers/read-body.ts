/** The beginning of a body. */
export interface BodyStart {
  readonly bytes: Buffer;
  /** Whether there was more, or it broke off, or it did not come in time. */
  readonly truncated: boolean;
}

/**
 * Reads a body as far as it fits and comes in time, and lets go of the rest with its connection.
 * @param limits.maxBytes the most that is read
 * @param limits.timeoutMs how long it is waited for altogether, in milliseconds: what drips is cut as well
 */
export async function readBody(
  response: Response,
  { maxBytes, timeoutMs }: { readonly maxBytes: number; readonly timeoutMs: number },
): Promise<BodyStart> {
  const reader = response.body?.getReader();
  if (reader === undefined) return { bytes: Buffer.alloc(0), truncated: false };
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
  return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), truncated: !ended || late || length > maxBytes };
}
