import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { frameData, frameEvent } from '../../../src/demo/frames.ts';
import {
  errorBody,
  type ModelAnswer,
  openStream,
  playAnswer,
  playTokens,
  sendJson,
} from '../../../src/demo/playback.ts';
import type { ReceivedRequest, ScriptedStep } from '../../../src/demo/steps.ts';
import type { Gate } from './gate.ts';

/** What can go wrong with a provider. */
export type Misbehaviour =
  /** The stream ends cleanly, without its terminal event. */
  | 'truncate'
  /** The socket is destroyed. */
  | 'destroy'
  /** Silence, with the socket open. */
  | 'hang'
  | 'hang-before-headers'
  /** Something that is no JSON, then the end. */
  | 'garbage'
  /** Status 200 with a web page. */
  | 'html'
  /** An error as an ordinary data event. */
  | 'in-band-error'
  /** An error under the event name `error`. */
  | 'error-event'
  /** `response.failed`; in Chat Completions the same as in-band-error. */
  | 'failed'
  /** An HTTP error. `retryAfter` in seconds; a string body is sent as it is. */
  | { readonly status: number; readonly retryAfter?: number; readonly body?: unknown };

/** A step that can be held and can go wrong. */
export interface FaultyStep extends ScriptedStep {
  readonly misbehave?: Misbehaviour;
  /** Holds the stream. A plain promise is enough if nobody needs to know that the stream has come to it. */
  readonly gate?: Gate | Promise<void>;
  /**
   * The body of the stream in place of the usual one, whatever the API: an object is a `data:` event, a string is sent as
   * it is, and a number is a pause in milliseconds.
   */
  readonly raw?: readonly (object | string | number)[];
  /** How many tokens come before the gate and the misbehaviour (argument fragments count). Unset: all of them. */
  readonly afterTokens?: number;
}

const error = { message: 'The scripted model failed.', type: 'server_error', param: null, code: 'server_error' };

/** Writes an answer as its step says: pace, gate and misbehaviour included. Settles when no more will be written. */
export async function playFaulty(answer: ModelAnswer<FaultyStep>): Promise<void> {
  const { response, request, step, frames, ticker } = answer;
  if (step.raw !== undefined) return await playRaw(response, step.raw);
  if (step.misbehave === undefined && step.gate === undefined) return await playAnswer(answer);
  if (misbehaveBeforeStream(response, step.misbehave)) return;
  if (!request.stream) return await playWhole(answer);
  openStream(response, frames);
  const stop = Math.min(step.afterTokens ?? frames.tokens.length, frames.tokens.length);
  await playTokens(response, frames.tokens.slice(0, stop), step, step.firstTokenDelayMs ?? 0, ticker);
  if (step.gate !== undefined) await waitAtGate(response, step.gate);
  if (response.destroyed) return;
  if (step.misbehave !== undefined) return misbehave(response, step.misbehave, request);
  await playTokens(response, frames.tokens.slice(stop), step, 0, ticker);
  if (!response.destroyed) response.end(frames.tail);
}

async function playRaw(response: ServerResponse, frames: readonly (object | string | number)[]): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  for (const frame of frames) {
    if (response.destroyed) return;
    if (typeof frame === 'number') await sleep(frame, null, { ref: false });
    else response.write(typeof frame === 'string' ? frame : frameData(frame));
  }
  response.end();
}

/** Answers without a stream, after the time that the stream would have taken. */
async function playWhole({ response, step, frames, body }: ModelAnswer<FaultyStep>): Promise<void> {
  await sleep((step.firstTokenDelayMs ?? 0) + (step.delayMs ?? 0) * frames.tokens.length);
  if (step.gate !== undefined) await waitAtGate(response, step.gate);
  if (response.destroyed || step.misbehave === 'hang') return;
  if (step.misbehave === 'destroy') {
    response.destroy();
    return;
  }
  const isError = step.misbehave === 'failed' || step.misbehave === 'in-band-error' || step.misbehave === 'error-event';
  const text = JSON.stringify(isError ? errorBody(500, error.message) : body());
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(step.misbehave === 'truncate' || step.misbehave === 'garbage' ? text.slice(0, text.length / 2) : text);
}

/** The misbehaviours that come before any stream. @returns whether there was one */
function misbehaveBeforeStream(response: ServerResponse, kind: Misbehaviour | undefined): boolean {
  if (kind === 'hang-before-headers') return true;
  if (kind === 'html') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><title>Sign in</title><p>Please sign in to this network.');
    return true;
  }
  if (typeof kind !== 'object') return false;
  if (kind.retryAfter !== undefined) response.setHeader('retry-after', String(kind.retryAfter));
  if (typeof kind.body === 'string') {
    response.writeHead(kind.status, { 'content-type': 'application/json' }).end(kind.body);
  } else {
    const body = kind.body ?? errorBody(kind.status, `The scripted model answered ${kind.status}.`);
    sendJson(response, kind.status, Object(body));
  }
  return true;
}

function misbehave(response: ServerResponse, kind: Misbehaviour, { api, model }: ReceivedRequest): void {
  const isResponses = api === 'RESPONSES';
  // The Responses API sends its errors bare; Chat Completions wraps them.
  const data = isResponses ? { ...error, type: 'error' } : { error };
  if (kind === 'truncate') response.end();
  else if (kind === 'destroy') response.destroy();
  else if (kind === 'garbage') response.end('data: {"choices": [}{ not JSON\n\n');
  else if (kind === 'in-band-error') response.end(frameData(data));
  else if (kind === 'error-event') response.end(frameEvent('error', data));
  else if (kind === 'failed') response.end(isResponses ? frameFailedResponse(model) : frameData({ error }));
  // hang: nothing more, and the socket stays open until the client leaves or the server closes.
}

function frameFailedResponse(model: string): string {
  const { code, message } = error;
  const response = {
    id: 'resp_failed',
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    status: 'failed',
    error: { code, message },
    incomplete_details: null,
    model,
    output: [],
    parallel_tool_calls: true,
    tools: [],
    usage: null,
  };
  return frameEvent('response.failed', { type: 'response.failed', sequence_number: 0, response });
}

async function waitAtGate(response: ServerResponse, gate: Gate | Promise<void>): Promise<void> {
  const opened = gate instanceof Promise ? gate : gate.opened;
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once('close', resolve);
  if (!(gate instanceof Promise)) gate.arrive();
  await Promise.race([opened, promise]);
  response.off('close', resolve);
}
