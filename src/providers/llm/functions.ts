import { isRecord, parseJson } from '../../engine/json.ts';
import type { ModelEndpoint, ToolSpec } from '../../engine/ports.ts';
import { SchemaUnsupportedError } from '../../tools/parameters/schema-bounds.ts';
import { writeSchemaForModels } from '../../tools/parameters/schema-for-models.ts';

/** In characters, at OpenAI, Azure and Groq. */
const maxDescriptionLength = 1_024;
/** The name of a function is `^[a-zA-Z0-9_-]{1,64}$` (OpenAI, Azure, Bedrock). */
const maxNameLength = 64;

/**
 * A tool as the provider takes it: with a schema in a form that it reads, and a description that is not too long for it.
 * A tool of an old turn whose schema has no such form is offered without arguments.
 */
export function writeFunction({ name, description, parameters }: ToolSpec, endpoint: ModelEndpoint): ToolSpec {
  return { name, description: cutDescription(description), parameters: writeParameters(parameters, endpoint) };
}

function writeParameters(parameters: Record<string, unknown>, endpoint: ModelEndpoint): Record<string, unknown> {
  try {
    return { ...writeSchemaForModels(parameters, isGemini(endpoint) ? 'openapi' : 'json-schema') };
  } catch (error) {
    if (error instanceof SchemaUnsupportedError) return { type: 'object', properties: {} };
    throw error;
  }
}

/** Whether a model is one of Gemini's, at Google or elsewhere: they refuse much of JSON Schema. */
export function isGemini({ apiUrl, model }: ModelEndpoint): boolean {
  return /(^|\.)googleapis\.com$/.test(URL.parse(apiUrl)?.hostname ?? '') || /(^|\/)gemini/i.test(model);
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
