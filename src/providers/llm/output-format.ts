import { isRecord } from '../../engine/json.ts';
import type { ModelEndpoint, ModelRequest } from '../../engine/ports.ts';
import { SchemaUnsupportedError } from '../../tools/parameters/schema-bounds.ts';
import { writeSchemaForModels } from '../../tools/parameters/schema-for-models.ts';
import { isGemini } from './functions.ts';
import { withAnswerFormat } from './structured-output.ts';

/**
 * The options of a request with the form of its answer, if its agent has an output schema. The instructions say it as well,
 * so that it can be left out: for a schema that cannot be written for models, and for Gemini together with tools.
 */
export function writeOutputOptions({
  endpoint,
  outputSchema,
  tools,
}: Pick<ModelRequest, 'endpoint' | 'outputSchema' | 'tools'>): ModelEndpoint['options'] {
  if (outputSchema === undefined || (isGemini(endpoint) && tools.length > 0)) return endpoint.options;
  const schema = writeSchema(outputSchema, endpoint);
  if (schema === null) return endpoint.options;
  return withAnswerFormat(endpoint, { name: 'answer', schema, strict: isStrict(schema) });
}

function writeSchema(schema: Readonly<Record<string, unknown>>, endpoint: ModelEndpoint) {
  try {
    return writeSchemaForModels(schema, isGemini(endpoint) ? 'openapi' : 'json-schema');
  } catch (error) {
    if (error instanceof SchemaUnsupportedError) return null;
    throw error;
  }
}

/** Whether the strict mode takes a schema: each object names all that it may hold, and requires all of it. */
function isStrict(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.every(isStrict);
  if (!isRecord(schema)) return true;
  const { type, properties, required, additionalProperties, items, anyOf } = schema;
  if (type === undefined && anyOf === undefined) return false;
  if ([type].flat().includes('object')) {
    if (additionalProperties !== false || !isRecord(properties) || !Array.isArray(required)) return false;
    if (!Object.keys(properties).every((name) => required.includes(name))) return false;
    if (!Object.values(properties).every(isStrict)) return false;
  }
  return (items === undefined || isStrict(items)) && (anyOf === undefined || isStrict(anyOf));
}
