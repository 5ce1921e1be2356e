import type { CombinedError } from 'urql';

/** What the server refuses of a form. */
export interface Refusal {
  readonly message: string;
  /** The path of the argument that is wrong, as `input.llm.apiKey`. Null: it is not about one. */
  readonly field: string | null;
  /** As `CONFLICT`. Absent: no answer of the server is behind it. */
  readonly code?: string;
}

/** The words of an error, without the prefix of urql. */
export function messageOf(error: CombinedError): string {
  if (error.networkError) return `The server cannot be reached: ${error.networkError.message}`;
  return error.graphQLErrors.map(({ message }) => message).join(' ');
}

/** An error as a form shows it: BAD_USER_INPUT carries the path of the argument in `extensions.path`. */
export function readRefusal(error: CombinedError): Refusal {
  const { path, code } = error.graphQLErrors[0]?.extensions ?? {};
  return {
    message: messageOf(error),
    field: Array.isArray(path) ? path.join('.') : null,
    ...(typeof code === 'string' && { code }),
  };
}
