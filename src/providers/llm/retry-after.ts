/** The pause that a provider asks for, in milliseconds: `retry-after-ms`, or Retry-After (RFC 9110, section 10.2.3). */
export function readRetryHeader(headers: Headers | undefined): number | null {
  const exact = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(exact)) return Math.max(0, exact);
  const written = headers?.get('retry-after') ?? null;
  if (written === null) return null;
  const seconds = Number(written);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(written) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/**
 * The pause that a provider names in its message, in milliseconds: "Please try again in 1m7.66s" (OpenAI, Groq), or
 * `"retryDelay": "34s"` (Gemini).
 * @returns null: it names none
 */
export function readRetryHint(message: string): number | null {
  const found =
    /(?:try again in|retry (?:in|after)|retryDelay"?\s*:\s*"?)\s*((?:\d+(?:\.\d+)?\s*(?:ms|s|m|h)[a-z]*\s*)+)/i.exec(
      message,
    )?.[1];
  if (found === undefined) return null;
  let total = 0;
  for (const [, amount, unit] of found.matchAll(/(\d+(?:\.\d+)?)\s*(ms|s|m|h)/gi)) {
    total += Number(amount) * (units[unit?.toLowerCase() ?? ''] ?? 0);
  }
  return total;
}
