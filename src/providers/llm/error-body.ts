import { isRecord } from '../../engine/json.ts';

/** What a provider said about an error. Only its meaning is passed on to users, never its words. */
export interface ProviderErrorBody {
  /** As text: a code, a type, a status in words. Empty: it has none. */
  readonly code: string;
  readonly type: string;
  /** The parameter that the error is about; empty: it does not say. */
  readonly param: string;
  /** At most 2,000 characters. */
  readonly message: string;
  /** The HTTP status that the body names; null: it names none. */
  readonly status: number | null;
  /** Whether it is JSON, as the errors of an API are, and not the page of whatever else is at that address. */
  readonly isReport: boolean;
}

/** Characters of what a provider said that are looked at. */
const maxMessageLength = 2_000;

type Data = Readonly<Record<string, unknown>>;

const nothing = { code: '', type: '', param: '', status: null, isReport: false } as const;

/**
 * Reads the parsed body of an error in any of the forms that providers use: `{error: {…}}`, `{error: "…"}`,
 * `{object: "error"}` (vLLM), `[{error: {…}}]` (Gemini), `{detail: …}` (FastAPI), `{message, code}`, `{errors: […]}`, or
 * plain text.
 */
export function readErrorValue(value: unknown): ProviderErrorBody {
  if (typeof value === 'string')
    return { ...nothing, message: value.slice(0, maxMessageLength), isReport: value !== '' };
  if (Array.isArray(value)) return readErrorValue(value.find(isRecord) ?? '');
  if (!isRecord(value)) return { ...nothing, message: '' };
  const inner = value.error ?? (Array.isArray(value.errors) ? value.errors[0] : undefined);
  // What stands beside the error belongs to it: `{error: "…", code: …}`.
  if (isRecord(inner)) return readReport({ ...value, error: undefined, ...inner }, inner);
  if (typeof inner === 'string' && inner !== '')
    return readReport({ message: inner, ...value, error: undefined }, value);
  return readReport(value, value);
}

function readReport(report: Data, inner: Data): ProviderErrorBody {
  const { code, type, param, status } = report;
  const numbers = [inner.code, inner.status, report.code, report.status, report.status_code].map(readStatus);
  return {
    code: textOf(code) || (typeof status === 'string' ? status : ''),
    type: textOf(type),
    param: textOf(param),
    message: readMessage(report).slice(0, maxMessageLength),
    status: numbers.find((number) => number !== null) ?? null,
    isReport: true,
  };
}

/** The message, and what a proxy (OpenRouter, LiteLLM) repeats of the provider behind it. */
function readMessage(report: Data): string {
  const { message, detail, metadata } = report;
  const raw = isRecord(metadata) ? metadata.raw : undefined;
  const parts = [message, detail, raw].flatMap((part) =>
    typeof part === 'string' ? [part] : part === undefined || part === null ? [] : [JSON.stringify(part)],
  );
  const details = Array.isArray(report.details) ? [JSON.stringify(report.details)] : [];
  return [...parts, ...details].join(' ');
}

function readStatus(value: unknown): number | null {
  const number =
    typeof value === 'number' ? value : typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : 0;
  return number >= 400 && number <= 599 ? number : null;
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/**
 * The error in an event of a stream or in a body with status 200, in whichever form; undefined: it is not an error.
 * @param name the name of the event
 */
export function findReport(data: object, name: string): unknown {
  if (!isRecord(data)) return undefined;
  if (data.error) return data;
  if (data.object === 'error' || data.type === 'error' || name === 'error')
    return { ...data, type: data.type === 'error' ? undefined : data.type };
  if ('choices' in data || 'output' in data || 'type' in data || 'usage' in data) return undefined;
  const isBare = typeof data.detail === 'string' || (typeof data.message === 'string' && (data.code || data.status));
  return isBare ? data : undefined;
}
