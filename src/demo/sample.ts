import { isRecord } from '../engine/json.ts';
import type { ReceivedRequest } from './steps.ts';

const maxDepth = 10;

/**
 * An answer of the form that a request asks for (structured output), with the demo's words in place of texts.
 * @returns undefined: it asks for none
 */
export function sampleOf({ body }: ReceivedRequest, said: string): unknown {
  if (!isRecord(body)) return undefined;
  const format = isRecord(body.response_format)
    ? body.response_format.json_schema
    : isRecord(body.text)
      ? body.text.format
      : undefined;
  return isRecord(format) && format.name === 'answer' ? write(format.schema, said, 0) : undefined;
}

function write(schema: unknown, said: string, depth: number): unknown {
  if (!isRecord(schema) || depth > maxDepth) return null;
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  if (Array.isArray(schema.anyOf)) return write(schema.anyOf[0], said, depth + 1);
  const [type] = [schema.type].flat();
  if (type === 'object') {
    const properties = isRecord(schema.properties) ? schema.properties : {};
    return Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, write(each, said, depth + 1)]));
  }
  if (type === 'array') return typeof schema.minItems === 'number' ? [write(schema.items, said, depth + 1)] : [];
  if (type === 'number' || type === 'integer') return typeof schema.minimum === 'number' ? schema.minimum : 1;
  if (type === 'boolean') return true;
  return type === 'null' ? null : said.slice(0, typeof schema.maxLength === 'number' ? schema.maxLength : undefined);
}
