import { createHash } from 'node:crypto';
import type { ToolSpec } from '../../engine/ports.ts';

/** Functions as providers take them: those that a model is offered, and the calls that are replayed to it. */

/** In characters, at OpenAI, Azure and Groq. */
const maxDescriptionLength = 1_024;
/** The name of a function is `^[a-zA-Z0-9_-]{1,64}$` (OpenAI, Azure, Bedrock). */
const maxNameLength = 64;
/** Of the ids of calls: Chat Completions takes 40 characters, the Responses API 64. */
const usableId = /^[A-Za-z0-9_-]{1,40}$/;
/** What `writeCallId` puts in an id's place. */
const replacedId = /^call-[0-9a-f]{32}$/;

/**
 * A tool as providers take it: with an object schema that has `properties`, without which OpenAI refuses it, and a
 * description that is not too long for them.
 */
export function writeFunction({ name, description, parameters }: ToolSpec): ToolSpec {
  return {
    name,
    description: cutDescription(description),
    parameters: { type: 'object', properties: {}, ...parameters },
  };
}

function cutDescription(text: string): string {
  if (text.length <= maxDescriptionLength) return text;
  // No half of a surrogate pair at the cut.
  return `${text.slice(0, maxDescriptionLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** The name of a past call: what a model made up, or another system allowed, may be none that providers take back. */
export function writeCallName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, maxNameLength);
}

/**
 * The id of a past call, of the call and of its result alike. One that providers do not take is replaced by a hash of it:
 * the same in every request, and never that of another call.
 */
export function writeCallId(id: string): string {
  // An id that looks like a replacement is replaced as well, or it could be the one of another id.
  if (usableId.test(id) && !replacedId.test(id)) return id;
  return `call-${createHash('sha256').update(id).digest('hex').slice(0, 32)}`;
}

/** The arguments of a past call as providers take them back: a JSON object, whatever the model wrote. */
export function writeCallArguments(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? text : '{}';
  } catch {
    return '{}';
  }
}
