import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { parseJson } from '../engine/json.ts';
import { errorBody, sendJson } from './playback.ts';

/** What every secret of the demo begins with: it says that it is one. */
const demoSecretPrefix = 'ek_switchboard_demo_';

const secretBody = z.object({
  expires_after: z
    .object({ anchor: z.literal('created_at'), seconds: z.int().min(10).max(7_200) })
    .default({ anchor: 'created_at', seconds: 600 }),
  session: z.looseObject({
    type: z.literal('realtime'),
    model: z.string().min(1),
    instructions: z.string().optional(),
    audio: z
      .looseObject({
        input: z.looseObject({ transcription: z.looseObject({ model: z.string() }).optional() }).optional(),
        output: z.looseObject({ voice: z.string().optional() }).optional(),
      })
      .optional(),
    tools: z
      .array(
        z.looseObject({
          type: z.literal('function'),
          name: z.string().regex(/^[\w-]{1,64}$/),
          parameters: z.record(z.string(), z.unknown()),
        }),
      )
      .max(128)
      .optional(),
  }),
});

/**
 * Answers POST /v1/realtime/client_secrets with a secret of the form that OpenAI's have. Nobody can begin a call with it: the
 * demo has no voice agent, and its answer says so.
 */
export async function answerClientSecret(
  body: Buffer,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!incoming.headers.authorization) return sendJson(response, 401, errorBody(401, 'Send an API key; any will do.'));
  const read = secretBody.safeParse(parseJson(body.toString('utf8')));
  if (!read.success) {
    const [issue] = read.error.issues;
    return sendJson(response, 400, errorBody(400, `${issue?.path.join('.')}: ${issue?.message}.`));
  }
  const { expires_after, session } = read.data;
  const note = 'A secret of the Switchboard demo: no call can begin with it. Set OPENAI_API_KEY for a real one.';
  sendJson(response, 200, {
    value: demoSecretPrefix + randomBytes(16).toString('hex'),
    expires_at: Math.floor(Date.now() / 1_000) + expires_after.seconds,
    session: { ...session, id: 'sess_switchboard_demo', object: 'realtime.session', note },
  });
}

/** Answers POST /v1/realtime/calls, where a browser would begin the call. */
export async function refuseCall(_body: Buffer, _incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  sendJson(response, 501, errorBody(501, 'The Switchboard demo mints secrets, and has no voice agent to call.'));
}
