import { AddressRefusedError } from '../outbound/address-guard.ts';

/** What came of one attempt. */
export type Attempt =
  | { readonly ok: true; readonly statusCode: number }
  | {
      readonly ok: false;
      /** Null: there was no answer. */
      readonly statusCode: number | null;
      /** For the admins of the tenant; nothing that the receiver has said is in it. */
      readonly error: string;
      /** How long the receiver asks to wait; null: it says nothing. */
      readonly retryAfterMs: number | null;
    };

/**
 * Sends one request. The answer's status is all that counts: its body is not read, and its connection is closed.
 * @param fetchGuarded a fetch through the address guard that follows no redirects
 * @param request.timeoutMs for the connection and the answer's headers together
 * @param closing aborts when the server closes
 * @throws only if `closing` has aborted
 */
export async function sendRequest(
  fetchGuarded: typeof fetch,
  request: {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    readonly timeoutMs: number;
  },
  closing: AbortSignal,
): Promise<Attempt> {
  const { url, headers, body, timeoutMs } = request;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetchGuarded(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        accept: '*/*',
        'accept-encoding': 'identity',
        'user-agent': 'Switchboard-Webhooks',
        ...headers,
      },
      body,
      signal: AbortSignal.any([timeout, closing]),
    });
    await response.body?.cancel();
    return readStatus(response);
  } catch (error) {
    closing.throwIfAborted();
    return { ok: false, statusCode: null, error: explainFailure(error, timeout, timeoutMs), retryAfterMs: null };
  }
}

function readStatus({ status, headers }: Response): Attempt {
  if (status >= 200 && status < 300) return { ok: true, statusCode: status };
  const isRedirect = status >= 300 && status < 400;
  const error = `The receiver answered with status ${status}${isRedirect ? ': redirects are not followed' : ''}.`;
  const seconds = /^\d{1,9}$/.exec(headers.get('retry-after') ?? '')?.[0];
  return { ok: false, statusCode: status, error, retryAfterMs: seconds === undefined ? null : Number(seconds) * 1000 };
}

function explainFailure(error: unknown, timeout: AbortSignal, timeoutMs: number): string {
  if (timeout.aborted) return `The receiver did not answer within ${timeoutMs / 1000} seconds.`;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof AddressRefusedError) return cause.message;
    if ('code' in cause && typeof cause.code === 'string') return `The receiver could not be reached (${cause.code}).`;
  }
  return 'The receiver could not be reached.';
}
