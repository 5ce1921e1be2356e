import { z } from 'zod';
import { json, text } from '../api/input.ts';
import { normalizeEmail } from './email.ts';
import { type DefaultCountry, normalizePhone } from './phone.ts';

/** Custom fields of a contact at most, and the characters of all of them as JSON. */
export const maxFields = 200;
export const maxFieldsLength = 20_000;
const maxFieldName = 100;

const name = text(1, 200).refine((value) => value.trim() !== '', 'must not be blank');
const notes = text(0, 20_000);

/** Its own properties only: `__proto__` is the name of a field like any other. */
const fields = json(maxFieldsLength).superRefine((value, context) => {
  const refuse = (message: string) => context.addIssue({ code: 'custom', message });
  if (!isFields(value)) return refuse('must be a JSON object');
  const names = Object.keys(value);
  if (names.length > maxFields) return refuse(`must have at most ${maxFields} fields, and it has ${names.length}`);
  const bad = names.find((field) => field.length === 0 || field.length > maxFieldName);
  if (bad !== undefined) refuse(`must have names of 1 to ${maxFieldName} characters`);
});

/** The custom fields of a contact. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whether a JSON value is an object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const trimmed = (max: number) => text(1, max).transform((value) => value.trim());

/**
 * The schema of a ContactInput.
 * @param defaultCountry the country of telephone numbers that are written without one
 */
export function contactInput(defaultCountry: DefaultCountry) {
  const hint = defaultCountry === null ? ', with the code of its country' : '';
  return z.strictObject({
    name: name.nullish(),
    email: trimmed(254)
      .transform((email, context) => {
        const key = normalizeEmail(email);
        if (key !== null) return { email, key };
        context.addIssue({ code: 'custom', message: 'must be an e-mail address, such as ada@example.com' });
        return z.NEVER;
      })
      .nullish(),
    phone: trimmed(50)
      .transform((phone, context) => {
        const number = normalizePhone(phone, defaultCountry);
        if (number !== null) return number;
        const message = `must be a telephone number of a country${hint} and without an extension, such as +49 30 12345678`;
        context.addIssue({ code: 'custom', message });
        return z.NEVER;
      })
      .nullish(),
    notes: notes.nullish(),
    fields: fields.nullish(),
  });
}

/** A ContactInput, checked. */
export type ContactInput = z.output<ReturnType<typeof contactInput>>;
