import {
  ApolloClient,
  ApolloLink,
  CombinedGraphQLErrors,
  HttpLink,
  InMemoryCache,
  type OperationVariables,
  type TypedDocumentNode,
} from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { type DocumentNode, type FormattedExecutionResult, getOperationAST, OperationTypeNode, print } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient, type Client as WsClient } from 'graphql-ws';
import { fetchExchange, type OperationResult, subscriptionExchange, Client as UrqlClient } from 'urql';
import { WebSocket } from 'ws';
import { PossibleTypesDocument } from '../../generated/graphql.ts';

/** What the tests ask of every client library; documents and their types are the generated ones. */
export interface TestClient extends AsyncDisposable {
  /** A query or a mutation. @throws {Refused} */
  ask<Data, Variables extends OperationVariables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data>;
  /** A subscription; ends with the stream, or when `signal` says so. @throws {Refused} */
  follow<Data, Variables extends OperationVariables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    onData: (data: Data) => void,
    signal?: AbortSignal,
  ): Promise<void>;
}

/** An error in an answer, as all of the libraries have it. */
interface AnsweredError {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

/** A response that has errors. */
class Refused extends Error {
  readonly codes: unknown[];

  constructor(errors: readonly AnsweredError[]) {
    super(errors.map(({ message }) => message).join('\n'));
    this.codes = errors.map(({ extensions }) => extensions?.code);
  }
}

export type OpenClient = (url: string, token: string) => Promise<TestClient>;

/** @param retries how often its socket comes back by itself */
export async function openApollo(url: string, token: string, retries = 0): Promise<TestClient> {
  const socket = openSocket(url, token, retries);
  const http = new HttpLink({
    uri: url,
    headers: { authorization: `Bearer ${token}` },
  });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    http,
  );
  const client = new ApolloClient({
    link,
    cache: new InMemoryCache({
      possibleTypes: await readPossibleTypes(http),
      // The id of a tool call is the model's: another run may have the same.
      // Events are no entities; what they carry of entities is kept up in the cache.
      typePolicies: {
        ToolCall: { keyFields: false },
        Subscription: { fields: { chatTurn: { merge: false }, runEvents: { merge: false } } },
      },
    }),
  });
  return {
    async ask(document, variables) {
      const { data, error } = isMutation(document)
        ? await client.mutate({ mutation: document, variables, errorPolicy: 'all' })
        : await client.query({ query: document, variables, errorPolicy: 'all', fetchPolicy: 'network-only' });
      return readApollo(data, error);
    },
    follow(document, variables, onData, signal) {
      return new Promise((resolve, reject) => {
        const subscription = client.subscribe({ query: document, variables }).subscribe({
          next: ({ data, error }) => attempt(() => onData(readApollo(data, error)), reject),
          error: reject,
          complete: resolve,
        });
        leaveOnAbort(signal, () => subscription.unsubscribe(), resolve);
      });
    },
    async [Symbol.asyncDispose]() {
      client.stop();
      await socket.dispose();
    },
  };
}

function readApollo<Data>(data: Data | null | undefined, error: unknown): Data {
  if (CombinedGraphQLErrors.is(error)) throw new Refused(error.errors);
  if (error !== undefined || data == null) throw error ?? new Error('An answer without data.');
  return data;
}

/** As Apollo's manual has it: without these, its cache drops what a fragment on an interface selects. */
async function readPossibleTypes(link: ApolloLink): Promise<Record<string, string[]>> {
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  const { data } = await client.query({ query: PossibleTypesDocument });
  const types = data?.__schema.types ?? [];
  return Object.fromEntries(
    types.flatMap(({ name, possibleTypes }) =>
      name != null && possibleTypes ? [[name, possibleTypes.flatMap((type) => type.name ?? [])]] : [],
    ),
  );
}

export async function openUrql(url: string, token: string, subscriptions: 'ws' | 'sse'): Promise<TestClient> {
  const socket = openSocket(url, token);
  const overSocket = subscriptionExchange({
    forwardSubscription: ({ query = '', variables = {} }) => ({
      subscribe: (sink) => {
        const next = ({ data = null, errors }: FormattedExecutionResult) =>
          sink.next(
            errors
              ? { data, errors: errors.map(({ message, extensions = {} }) => ({ message, extensions })) }
              : { data },
          );
        return { unsubscribe: socket.subscribe({ query, variables: { ...variables } }, { ...sink, next }) };
      },
    }),
  });
  const client = new UrqlClient({
    url,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: subscriptions === 'ws' ? [fetchExchange, overSocket] : [fetchExchange],
    fetchSubscriptions: subscriptions === 'sse',
    // urql asks for short queries with GET, which this server does not answer.
    preferGetMethod: false,
  });
  return {
    async ask(document, variables) {
      return readUrql(
        isMutation(document)
          ? await client.mutation(document, variables).toPromise()
          : await client.query(document, variables).toPromise(),
      );
    },
    follow(document, variables, onData, signal) {
      return new Promise((resolve, reject) => {
        const subscription = client.subscription(document, variables).subscribe((result) => {
          // urql says that a stream is over by giving its last result once more.
          if (result.error || result.hasNext) attempt(() => onData(readUrql(result)), reject);
          else resolve();
        });
        leaveOnAbort(signal, () => subscription.unsubscribe(), resolve);
      });
    },
    async [Symbol.asyncDispose]() {
      await socket.dispose();
    },
  };
}

function readUrql<Data>({ data, error }: OperationResult<Data>): Data {
  if (error && error.graphQLErrors.length > 0) throw new Refused(error.graphQLErrors);
  if (error || data === undefined) throw error ?? new Error('An answer without data.');
  return data;
}

/** @param retries how often its socket comes back by itself */
export async function openGraphqlWs(url: string, token: string, retries = 0): Promise<TestClient> {
  const client = openSocket(url, token, retries);
  return fromSinks(
    (request, sink) => client.subscribe(request, sink),
    () => client.dispose(),
  );
}

export async function openGraphqlSse(url: string, token: string): Promise<TestClient> {
  const client = createSseClient({ url, headers: { authorization: `Bearer ${token}` }, retryAttempts: 0 });
  return fromSinks(
    (request, sink) => client.subscribe(request, sink),
    () => client.dispose(),
  );
}

interface Result<Data> {
  readonly data?: Data | null | undefined;
  readonly errors?: readonly AnsweredError[] | undefined;
}
interface Sink<Data> {
  next(result: Result<Data>): void;
  error(error: unknown): void;
  complete(): void;
}
type Subscribe = <Data>(request: { query: string; variables: Record<string, unknown> }, sink: Sink<Data>) => () => void;

/** The two libraries of the transports have the same shape, for every kind of operation. */
function fromSinks(subscribe: Subscribe, dispose: () => unknown): TestClient {
  const follow: TestClient['follow'] = <Data, Variables extends OperationVariables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    onData: (data: Data) => void,
    signal?: AbortSignal,
  ) =>
    new Promise<void>((resolve, reject) => {
      const next = (result: Result<Data>) => attempt(() => onData(readResult(result)), reject);
      const leave = subscribe<Data>({ query: print(document), variables }, { next, error: reject, complete: resolve });
      leaveOnAbort(signal, leave, resolve);
    });
  return {
    follow,
    async ask<Data, Variables extends OperationVariables>(
      document: TypedDocumentNode<Data, Variables>,
      variables: Variables,
    ) {
      const answers: Data[] = [];
      await follow(document, variables, (data) => answers.push(data));
      const [answer] = answers;
      if (answer === undefined || answers.length > 1) throw new Error(`${answers.length} answers came.`);
      return answer;
    },
    async [Symbol.asyncDispose]() {
      await dispose();
    },
  };
}

function readResult<Data>({ data, errors }: Result<Data>): Data {
  if (errors && errors.length > 0) throw new Refused(errors);
  if (data == null) throw new Error('An answer without data.');
  return data;
}

function openSocket(url: string, token: string, retryAttempts = 0): WsClient {
  return createWsClient({
    url: url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts,
    // The library's default gives up if a connection is refused or reset.
    ...(retryAttempts > 0 && { shouldRetry: () => true }),
    connectionParams: { authorization: `Bearer ${token}` },
  });
}

function isMutation(document: DocumentNode): boolean {
  return getOperationAST(document)?.operation === OperationTypeNode.MUTATION;
}

function attempt(work: () => void, onError: (error: unknown) => void): void {
  try {
    work();
  } catch (error) {
    onError(error);
  }
}

function leaveOnAbort(signal: AbortSignal | undefined, leave: () => void, resolve: () => void): void {
  // Not in the midst of an event: who leaves is a component that goes away.
  signal?.addEventListener('abort', () =>
    setImmediate(() => {
      leave();
      resolve();
    }),
  );
}
