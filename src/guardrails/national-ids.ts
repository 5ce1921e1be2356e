import { hasLuhnDigit, type Recogniser } from './recogniser.ts';

const compact = (text: string) => text.replaceAll(/[ .-]/g, '').toUpperCase();

function weigh(digits: string, weights: readonly number[]): number {
  return weights.reduce((sum, weight, index) => sum + weight * Number(digits[index]), 0);
}

/** United States: Social Security number. It has no check digit, so it is found only with its separators. */
const ssn: Recogniser = {
  pattern: /(?<![\w-])\d{3}([- ])\d{2}\1\d{4}(?![\w-])/g,
  isValid: (candidate) => !/^(?:000|666|9)|^.{4}00|0000$/.test(candidate),
};

/** United Kingdom: National Insurance number. */
const nino: Recogniser = {
  pattern: /(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d{2}){3} ?[A-D](?!\w)/gi,
  isValid: (candidate) => !/^(?:BG|GB|KN|NK|NT|TN|ZZ)/i.test(candidate),
};

/** Germany: Steuer-Identifikationsnummer, with its check digit of ISO 7064 MOD 11,10. */
const steuerId: Recogniser = {
  pattern: /(?<![\w.-])[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?![\w-])/g,
  isValid: (candidate) => {
    const digits = compact(candidate);
    let product = 10;
    for (const digit of digits.slice(0, 10)) product = (((Number(digit) + product) % 10 || 10) * 2) % 11;
    return (11 - product) % 10 === Number(digits[10]) && new Set(digits.slice(0, 10)).size < 10;
  },
};

/** France: numéro de sécurité sociale (NIR), with its key. */
const nir: Recogniser = {
  pattern: /(?<!\w)[1-478] ?\d{2} ?\d{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\w)/gi,
  isValid: (candidate) => {
    const text = compact(candidate).replace('2A', '19').replace('2B', '18');
    return text.length === 15 && 97 - Number(BigInt(text.slice(0, 13)) % 97n) === Number(text.slice(13));
  },
};

/** Spain: DNI and NIE, with their check letter. */
const dni: Recogniser = {
  pattern: /(?<!\w)[XYZ\d]-?\d{7}-?[A-Z](?!\w)/gi,
  isValid: (candidate) => {
    const text = compact(candidate).replace(/^[XYZ]/, (letter) => String('XYZ'.indexOf(letter)));
    return 'TRWAGMYFPDXBNJZSQVHLCKE'[Number(text.slice(0, 8)) % 23] === text[8];
  },
};

/** Italy: codice fiscale, with its check letter. */
const codiceFiscale: Recogniser = {
  pattern: /(?<!\w)[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z](?!\w)/gi,
  isValid: (candidate) => {
    const text = candidate.toUpperCase();
    const odd = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let sum = 0;
    for (let index = 0; index < 15; index++) {
      const character = text.charAt(index);
      const value = /\d/.test(character) ? Number(character) : character.charCodeAt(0) - 65;
      sum += index % 2 === 0 ? (odd[value] ?? 0) : value;
    }
    return String.fromCharCode(65 + (sum % 26)) === text[15];
  },
};

/** Poland: PESEL, with its check digit and a month that exists. */
const pesel: Recogniser = {
  pattern: /(?<![\w.-])\d{11}(?![\w-])/g,
  isValid: (digits) => {
    const month = Number(digits.slice(2, 4)) % 20;
    const check = (10 - (weigh(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)) % 10;
    return month >= 1 && month <= 12 && check === Number(digits[10]);
  },
};

/** Sweden: personnummer, with its check digit. */
const personnummer: Recogniser = {
  pattern: /(?<![\w-])(?:19|20)?\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-+]\d{4}(?![\w-])/g,
  isValid: (candidate) => hasLuhnDigit(candidate.replaceAll(/[-+]/g, '').slice(-10)),
};

/** The national identity and tax numbers that are recognised. */
export const nationalIds: readonly Recogniser[] = [ssn, nino, steuerId, nir, dni, codiceFiscale, pesel, personnummer];
