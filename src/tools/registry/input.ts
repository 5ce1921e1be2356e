import { z } from 'zod';
import { integer, json, list, text } from '../../api/input.ts';
import { toolName } from '../contract/tool-name.ts';
import { parseTemplate } from '../http/url-template.ts';
import { compileParameters } from '../parameters/check.ts';
import { maxJsonLength, SchemaUnsupportedError } from '../parameters/schema-bounds.ts';

// The fields that mutations and the operator's file have in common.

/** The name of a new tool; those of handoffs are reserved. */
export const newToolName = toolName.refine(
  (name) => !name.startsWith('transfer_to_'),
  'must not begin with transfer_to_, which is reserved for handoffs',
);

export const serverName = z
  .string({ error: 'must be the name of a server' })
  .regex(/^[A-Za-z0-9-]{1,32}$/, 'must be 1 to 32 letters, digits or -');

export const description = text(1, 2_000).refine((value) => value.trim() !== '', 'must not be blank');
export const httpMethod = z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], {
  error: 'must be GET, POST, PUT, PATCH or DELETE',
});
export const timeoutMs = integer(1, 600_000);
export const maxResultLength = integer(1, 1_000_000);
export const requiredRoles = list(text(1, 255), 50);

/** JSON Schema of arguments, compiled once as a check. */
export const parameters = json(maxJsonLength)
  .refine((value): value is Record<string, unknown> => isObject(value), 'must be a JSON Schema: a JSON object')
  .superRefine((schema, context) => {
    // Zod also runs this if the refinement before it failed.
    if (!isObject(schema)) return;
    try {
      compileParameters(schema, { strict: true });
    } catch (error) {
      if (!(error instanceof SchemaUnsupportedError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  });

/** A URL template. Whether its placeholders are arguments is checked by `explainPlaceholders`. */
export const templateUrl = text(1, 4_096).superRefine((url, context) => {
  const template = parseTemplate(url);
  if (typeof template === 'string') context.addIssue({ code: 'custom', message: template });
});

/** The endpoint of an MCP server. */
export const serverUrl = text(1, 4_096).superRefine((url, context) => {
  const parsed = URL.parse(url);
  const refuse = (message: string) => context.addIssue({ code: 'custom', message });
  if (parsed === null || !/^https?:$/.test(parsed.protocol))
    return refuse('must be a URL that begins with https:// or http://');
  if (parsed.username !== '' || parsed.password !== '') {
    refuse('must not have a user name or password in it: give them as a secret header');
  }
});

/** Why a URL template does not fit the parameters, as the end of a sentence; null: it does. */
export function explainPlaceholders(url: string, schema: Record<string, unknown>): string | null {
  const template = parseTemplate(url);
  if (typeof template === 'string') return template;
  const properties = isObject(schema.properties) ? schema.properties : {};
  const unknown = [...template.names].find((name) => !Object.hasOwn(properties, name));
  return unknown === undefined ? null : `has the placeholder {${unknown}}, and parameters.properties has no ${unknown}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
