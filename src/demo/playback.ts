import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AnswerFrames, frameData, frameEvent } from './frames.ts';
import type { DemoApi, ScriptedStep } from './steps.ts';
import type { Ticker } from './ticker.ts';

/** Frames that are written at once when nothing paces them. */
const sliceLength = 64;

/** Streams an answer as its step says: pace, gate and misbehaviour included. Settles when no more will be written. */
export async function playStream(
  response: ServerResponse,
  step: ScriptedStep,
  frames: AnswerFrames,
  api: DemoApi,
  ticker: Ticker,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  response.write(frames.head);
  const total = frames.tokens.length;
  const stop = Math.min(step.afterTokens ?? total, total);
  await playTokens(response, frames.tokens.slice(0, stop), step, step.firstTokenDelayMs ?? 0, ticker);
  if (step.gate !== undefined) await waitAtGate(response, step.gate);
  if (response.destroyed) return;
  if (step.misbehave !== undefined) {
    misbehave(response, step.misbehave, frames, api);
    return;
  }
  await playTokens(response, frames.tokens.slice(stop), step, 0, ticker);
  if (!response.destroyed) response.end(frames.tail);
}

/** Answers without a stream, after the time that the stream would have taken. */
export async function playWhole(response: ServerResponse, step: ScriptedStep, body: object, tokens: number) {
  await sleep((step.firstTokenDelayMs ?? 0) + (step.delayMs ?? 0) * tokens);
  if (step.gate !== undefined) await waitAtGate(response, step.gate);
  if (response.destroyed || step.misbehave === 'hang') return;
  if (step.misbehave === 'destroy') {
    response.destroy();
    return;
  }
  const text = JSON.stringify(step.misbehave === 'failed' || isInBand(step) ? errorBody(500) : body);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(step.misbehave === 'truncate' || step.misbehave === 'garbage' ? text.slice(0, text.length / 2) : text);
}

function isInBand(step: ScriptedStep): boolean {
  return step.misbehave === 'in-band-error' || step.misbehave === 'error-event';
}

/** The misbehaviours that come before any stream. True when there was one. */
export function misbehaveAtOnce(response: ServerResponse, step: ScriptedStep): boolean {
  const kind = step.misbehave;
  if (kind === 'hang-before-headers') return true;
  if (kind === 'html') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><title>Sign in</title><p>Please sign in to this network.');
    return true;
  }
  if (typeof kind !== 'object') return false;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (kind.retryAfter !== undefined) headers['retry-after'] = String(kind.retryAfter);
  const body = kind.body ?? errorBody(kind.status);
  response.writeHead(kind.status, headers);
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
  return true;
}

/** An error in the shape of the real APIs. */
export function errorBody(status: number, message = `The scripted model answered ${status}.`): object {
  const type = status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
  return { error: { message, type, param: null, code: status === 429 ? 'rate_limit_exceeded' : type } };
}

function misbehave(
  response: ServerResponse,
  kind: NonNullable<ScriptedStep['misbehave']>,
  frames: AnswerFrames,
  api: DemoApi,
): void {
  const error = { message: 'The scripted model failed.', type: 'server_error', param: null, code: 'server_error' };
  // The Responses API sends its errors bare; Chat Completions wraps them.
  const data = api === 'RESPONSES' ? { ...error, type: 'error' } : { error };
  if (kind === 'truncate') response.end();
  else if (kind === 'destroy') response.destroy();
  else if (kind === 'garbage') response.end('data: {"choices": [}{ not JSON\n\n');
  else if (kind === 'in-band-error') response.end(frameData(data));
  else if (kind === 'error-event') response.end(frameEvent('error', data));
  else if (kind === 'failed') response.end(frames.failed);
  // hang: nothing more, and the socket stays open until the client leaves or the server closes.
}

async function playTokens(
  response: ServerResponse,
  tokens: readonly string[],
  step: ScriptedStep,
  firstMs: number,
  ticker: Ticker,
): Promise<void> {
  const delayMs = step.delayMs ?? 0;
  if (tokens.length === 0) {
    if (firstMs > 0) await sleep(firstMs);
    return;
  }
  if (delayMs === 0) {
    if (firstMs > 0) await sleep(firstMs);
    for (let at = 0; at < tokens.length && !response.destroyed; at += sliceLength) {
      if (!response.write(tokens.slice(at, at + sliceLength).join(''))) await waitForRoom(response);
    }
    return;
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  let at = 0;
  const stop = ticker.pace(firstMs, delayMs, (due) => {
    response.write(due === 1 ? tokens[at] : tokens.slice(at, at + due).join(''));
    at += due;
    if (at < tokens.length) return true;
    resolve();
    return false;
  });
  const onClose = () => {
    stop();
    resolve();
  };
  response.once('close', onClose);
  await promise;
  response.off('close', onClose);
}

async function waitAtGate(response: ServerResponse, gate: NonNullable<ScriptedStep['gate']>): Promise<void> {
  const opened = gate instanceof Promise ? gate : gate.opened;
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once('close', resolve);
  if (!(gate instanceof Promise)) gate.arrive();
  await Promise.race([opened, promise]);
  response.off('close', resolve);
}

async function waitForRoom(response: ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once('drain', resolve);
  response.once('close', resolve);
  await promise;
  response.off('drain', resolve);
  response.off('close', resolve);
}
