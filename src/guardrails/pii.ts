import { isIPv4, isIPv6 } from 'node:net';
import type { PiiKind } from './config.ts';
import { nationalIds } from './national-ids.ts';
import { findValid, hasLuhnDigit, type Recogniser, type TextSpan } from './recogniser.ts';

/**
 * Finds personal data of the given kinds. A number that is several of them is found as each.
 * @param text a normalised text (normalize.ts)
 */
export function findPii(text: string, kinds: readonly PiiKind[]): (TextSpan & { readonly label: PiiKind })[] {
  return kinds.flatMap((label) => finders[label](text).map((span) => ({ ...span, label })));
}

const phone: Recogniser = {
  // International (+49 170 1234567, 0049…), with a trunk 0, or of North America (555-123-4567).
  pattern:
    /(?<![\w.])(?:(?:\+|00)[1-9](?:[ ().\-/]{0,2}\d){6,14}|\(?0\d{1,4}\)?[ .\-/](?:[ .\-/]?\d){5,10}|0[1-9]\d{8,10}|(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4})(?![\w-])/g,
  isValid: (candidate) => !/^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$/.test(candidate),
};
const ipV4: Recogniser = { pattern: /(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)/g, isValid: isIPv4 };
const ipV6: Recogniser = {
  pattern: /(?<![\w:.])[0-9a-f:]{1,40}(?:\.\d{1,3}){0,3}(?![\w:])/gi,
  isValid: (candidate) => candidate.length > 2 && isIPv6(candidate),
};

const finders: Readonly<Record<PiiKind, (text: string) => TextSpan[]>> = {
  EMAIL: findEmails,
  PHONE: (text) => findValid(text, phone),
  CREDIT_CARD: findCards,
  IBAN: findIbans,
  IP_ADDRESS: (text) => [...findValid(text, ipV4), ...findValid(text, ipV6)],
  NATIONAL_ID: (text) => nationalIds.flatMap((recogniser) => findValid(text, recogniser)),
};

const localPart = /[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]{1,64}$/u;
const domain = /^[\p{L}\p{N}][\p{L}\p{N}-]{0,62}(?:\.[\p{L}\p{N}][\p{L}\p{N}-]{0,62}){1,8}/u;

/** E-mail addresses, outwards from each @, as HTML's input has them (https://html.spec.whatwg.org/#valid-e-mail-address). */
function findEmails(text: string): TextSpan[] {
  const found: TextSpan[] = [];
  for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
    const before = localPart.exec(text.slice(Math.max(0, at - 64), at));
    const after = domain.exec(text.slice(at + 1, at + 256));
    if (before && after) found.push({ start: at - before[0].length, end: at + 1 + after[0].length });
  }
  return found;
}

/** Sequences of digits that have the length of a card, with spaces or hyphens between them. */
const digitGroups = /\d(?:[ -]?\d){12,}/g;
const minCardDigits = 13;
const maxCardDigits = 19;
/** What the numbers of issuers begin with: American Express, Diners, JCB, Visa, Mastercard, Maestro, Discover, UnionPay. */
const issuers = /^(?:3|4|5|6|2[2-7])/;

/** Card numbers: of each length that begins and ends with a group of digits, because a date or a code may follow. */
function findCards(text: string): TextSpan[] {
  const found: TextSpan[] = [];
  for (const match of text.matchAll(digitGroups)) {
    const [groups] = match;
    for (let start = 0; start < groups.length; start++) {
      if (!/\d/.test(groups.charAt(start)) || /\d/.test(groups.charAt(start - 1))) continue;
      let digits = '';
      for (let end = start; end < groups.length && digits.length < maxCardDigits; end++) {
        const character = groups.charAt(end);
        if (/\d/.test(character)) digits += character;
        if (digits.length < minCardDigits || /\d/.test(groups.charAt(end + 1)) || !/\d/.test(character)) continue;
        if (issuers.test(digits) && hasLuhnDigit(digits))
          found.push({ start: match.index + start, end: match.index + end + 1 });
      }
    }
  }
  return found;
}

/** The lengths of IBANs by country (SWIFT's IBAN registry). */
const ibanLengths = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 ' +
    'FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 ' +
    'LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 ' +
    'RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);
const ibanBeginning = /(?<![\p{L}\p{N}])[A-Z]{2}\d{2}(?=[ -]?[A-Z0-9])/giu;

/** IBANs, of exactly the length of their country: words may follow. */
function findIbans(text: string): TextSpan[] {
  return [...text.matchAll(ibanBeginning)].flatMap((match) => {
    const length = ibanLengths.get(match[0].slice(0, 2).toUpperCase());
    if (length === undefined) return [];
    let iban = '';
    let end = match.index;
    while (iban.length < length && end < text.length) {
      const character = text.charAt(end);
      if (/[A-Z0-9]/i.test(character)) iban += character.toUpperCase();
      else if (!/[ -]/.test(character)) break;
      end++;
    }
    const isWhole = iban.length === length && !/[A-Z0-9]/i.test(text.charAt(end));
    return isWhole && hasIbanDigits(iban) ? [{ start: match.index, end }] : [];
  });
}

/** The check digits of an IBAN (ISO 13616, by ISO 7064 MOD 97-10). */
function hasIbanDigits(iban: string): boolean {
  let rest = 0;
  for (const character of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}
