import type { Client } from 'graphql-ws';

/** What a turn needs of a client of graphql-ws. */
export type TurnSocket = Pick<Client, 'subscribe'>;

/** An operation was answered with errors. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  /** `extensions.code` of the first error. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** An error of an answer. */
export interface AnsweredError {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

/** The code of an error: `extensions.code`. */
export const codeOf = ({ extensions }: AnsweredError): string => String(extensions?.code ?? 'INTERNAL');

/**
 * Sends a query or a mutation over the socket.
 * @returns its data
 * @throws {ServerError} the first error of the answer
 */
export function request<Data = Record<string, unknown>>(
  client: TurnSocket,
  query: string,
  variables: Record<string, unknown> = {},
): Promise<Data> {
  return new Promise((resolve, reject) => {
    let answer: Data | null | undefined;
    const refuse = (error: AnsweredError) => reject(new ServerError(codeOf(error), error.message));
    client.subscribe<Data>(
      { query, variables },
      {
        next: ({ data, errors }) => {
          if (errors?.[0]) refuse(errors[0]);
          else answer = data;
        },
        error: (error) => {
          if (Array.isArray(error) && error[0]) refuse(error[0]);
          else reject(error);
        },
        complete: () => {
          if (answer) resolve(answer);
          else reject(new ServerError('INTERNAL', 'There was no answer.'));
        },
      },
    );
  });
}
