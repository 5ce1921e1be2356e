import { isRecord, parseJson } from '../../engine/json.ts';
import type { ToolSpec } from '../../engine/ports.ts';

/** In characters, at OpenAI, Azure and Groq. */
const maxDescriptionLength = 1_024;
/** The name of a function is `^[a-zA-Z0-9_-]{1,64}$` (OpenAI, Azure, Bedrock). */
const maxNameLength = 64;

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

/** The name of a past call. Providers refuse a name that a model made up, or that another system allowed. */
export function writeCallName(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, maxNameLength);
}

/** The arguments of a past call as providers take them back: a JSON object, whatever the model wrote. */
export function writeCallArguments(text: string): string {
  return isRecord(parseJson(text)) ? text : '{}';
}
