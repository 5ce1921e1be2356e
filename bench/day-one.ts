import { createServer } from 'node:http';
import type { ExecutionArgs } from 'graphql';
import type { OperationResult } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { createSchema, createYoga, Repeater } from 'graphql-yoga';
import OpenAI from 'openai';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import { listenOnLoopback } from './listen.ts';

// The baseline `day-one`: what a team writes on its first day. Yoga and graphql-ws as their guides have it, and a
// subscription over the openai client's stream, one event per token. Nothing stored, nobody asked who they are.

const openai = new OpenAI({ apiKey: 'none', baseURL: z.url().parse(process.env.OPENAI_BASE_URL) });

const schema = createSchema({
  typeDefs: /* GraphQL */ `
    type Query { ok: Boolean! }
    type Subscription { chatTurn(input: ChatTurnInput!): RunEvent! }
    input ChatTurnInput { conversationId: ID!, content: String!, idempotencyKey: String! }
    interface RunEvent { seq: Int! }
    type TextDelta implements RunEvent { seq: Int!, messageId: ID!, offset: Int!, delta: String! }
    type RunCompleted implements RunEvent { seq: Int! }
    type RunFailed implements RunEvent { seq: Int!, error: RunError! }
    type RunError { code: String!, message: String! }
  `,
  resolvers: {
    Subscription: {
      chatTurn: {
        subscribe: (_root: unknown, { input }: { input: { content: string } }) => streamTurn(input.content),
        resolve: (event: unknown) => event,
      },
    },
  },
});

function streamTurn(content: string): Repeater<unknown> {
  return new Repeater(async (push, stop) => {
    const messages = [{ role: 'user', content }] as const;
    const stream = await openai.chat.completions.create({ model: 'bench', stream: true, messages: [...messages] });
    stop.then(() => stream.controller.abort());
    const messageId = crypto.randomUUID();
    let seq = 0;
    let offset = 0;
    for await (const chunk of stream) {
      const delta = chunk.choices[0]?.delta.content;
      if (!delta) continue;
      await push({ __typename: 'TextDelta', seq: ++seq, messageId, offset, delta });
      offset += delta.length;
    }
    await push({ __typename: 'RunCompleted', seq: ++seq });
    stop();
  });
}

type Run = (args: ExecutionArgs) => OperationResult;
type Enveloped = { execute: Run; subscribe: Run };
const enveloped = (args: ExecutionArgs) =>
  z.custom<Enveloped>((value) => typeof value === 'object').parse(args.rootValue);

const yoga = createYoga({ schema });
const server = createServer(yoga);
const sockets = new WebSocketServer({ server, path: yoga.graphqlEndpoint });
useServer(
  {
    execute: (args: ExecutionArgs) => enveloped(args).execute(args),
    subscribe: (args: ExecutionArgs) => enveloped(args).subscribe(args),
    async onSubscribe({ extra }, _id, params) {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        req: extra.request,
        socket: extra.socket,
        params,
      });
      const args = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      };
      const errors = validate(args.schema, args.document);
      return errors.length > 0 ? errors : args;
    },
  },
  sockets,
);
listenOnLoopback(server);
