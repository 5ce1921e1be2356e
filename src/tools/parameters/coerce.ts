import type { ErrorObject } from 'ajv/dist/2020.js';

// Ajv's own `coerceTypes` is not used: it turns null into 0, "" or false, and true into 1.

const decimalNumber = /^-?(0|[1-9]\d*)(\.\d+)?$/;
/** So many digits a number holds exactly. */
const maxDigits = 15;

/**
 * Arguments that nearly fit a schema, changed so that they may: text that is a number or a boolean where one is wanted,
 * or the other way round, JSON that was written as text, and null for a field that takes none, which is left out. Values
 * are never rounded.
 * @param errors why they do not fit, as Ajv says
 * @returns a changed copy, which has to be checked again; null if nothing can be changed
 */
export function coerceArguments(args: unknown, errors: readonly ErrorObject[]): unknown {
  const copy = structuredClone(args);
  const changed = errors.map((error) => coerceAt(copy, error));
  return changed.includes(true) ? copy : null;
}

function coerceAt(args: unknown, { instancePath, keyword, params }: ErrorObject): boolean {
  if (keyword !== 'type' && keyword !== 'enum' && keyword !== 'const') return false;
  const steps = instancePath.split('/').slice(1);
  const name = steps.pop()?.replaceAll('~1', '/').replaceAll('~0', '~');
  const holder = steps.reduce<unknown>(
    (node, step) => child(node, step.replaceAll('~1', '/').replaceAll('~0', '~')),
    args,
  );
  if (name === undefined || typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, name)) return false;
  const value = child(holder, name);
  if (value === null) return !Array.isArray(holder) && Reflect.deleteProperty(holder, name);
  const types: unknown[] = keyword === 'type' ? [params.type].flat() : [];
  const coerced = types.map((type) => coerceValue(value, type)).find((result) => result !== undefined);
  return coerced !== undefined && Reflect.set(holder, name, coerced);
}

function child(node: unknown, name: string): unknown {
  if (typeof node !== 'object' || node === null || !Object.hasOwn(node, name)) return undefined;
  return Reflect.get(node, name);
}

/** @returns undefined if the value cannot be of that type */
function coerceValue(value: unknown, type: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'boolean') return type === 'string' ? String(value) : undefined;
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (type === 'integer' || type === 'number') {
    if (!decimalNumber.test(text) || text.replace(/\D/g, '').length > maxDigits) return undefined;
    return type === 'integer' && !Number.isInteger(Number(text)) ? undefined : Number(text);
  }
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  if ((type === 'object' && text.startsWith('{')) || (type === 'array' && text.startsWith('['))) return parseJson(text);
  return undefined;
}

/** @returns undefined also for JSON with a whole number that is too large to be exact */
function parseJson(text: string): unknown {
  let isExact = true;
  try {
    const value: unknown = JSON.parse(text, (_key, part: unknown) => {
      if (typeof part === 'number' && (Number.isInteger(part) ? !Number.isSafeInteger(part) : !Number.isFinite(part)))
        isExact = false;
      return part;
    });
    return isExact ? value : undefined;
  } catch {
    return undefined;
  }
}
