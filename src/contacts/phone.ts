// The complete metadata: a number is checked against the plan of its country, and not by its length alone. It takes 150 kB
// of memory, which matters in browsers.
import { type CountryCode, parsePhoneNumberFromString } from 'libphonenumber-js/max';

/** The country of numbers that are written without one, as two letters (ISO 3166-1); null: such numbers are refused. */
export type DefaultCountry = CountryCode | null;

/**
 * A telephone number in E.164, such as `+493012345678`.
 * @param written as people write it: with blanks, brackets, hyphens
 * @returns null: it is no number of any country, or it has an extension, which E.164 has no room for
 */
export function normalizePhone(written: string, defaultCountry: DefaultCountry): string | null {
  const number = parsePhoneNumberFromString(written, {
    extract: false,
    ...(defaultCountry === null ? {} : { defaultCountry }),
  });
  if (!number?.isValid() || number.country === undefined || number.ext !== undefined) return null;
  return number.number;
}
