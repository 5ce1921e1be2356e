import { type Finding, joinFindings } from '../guardrails/find.ts';

/** The address that the text of a page begins with, as far as its host. */
const ownHost = /^\s*https?:\/\/(?:[^\s/?#@]{1,256}@)?(?:\[[0-9a-f:.]{2,45}\]|[^\s/?#@:[\]]{1,253})/iu;

/** A parameter of an address up to its value; also of one that is encoded, up to four times, as the value of another. */
const parameter =
  /(?:[?&#;]|%(?:25){0,3}(?:3f|26|23|3b))((?:[\w.[\]-]|%(?:25){0,3}5[bd]){1,64})(?:=|%((?:25){0,3})3d)/giu;
const value = /[^\s&#;"'<>]+/uy;
/** The value in an address that is encoded once, twice and so on: up to the next parameter of that address. */
const encodedValues = ['', '25', '2525', '252525'].map(
  (level) => new RegExp(`(?:(?!%${level}(?:26|23|3b))[^\\s&#;"'<>])+`, 'iuy'),
);
/** How names of secrets end, however their words are joined. */
const secretName =
  /(?:token|secret|password|passwd|passphrase|passcode|pwd|jwt|signature|credentials?|apikey|accesskey|sessionid|sessid|tokenhash|authcode|oobcode)$/u;
/** Such as only a word of their own says it: `keyword` and `zipcode` are names of other things. */
const secretWord = /^(?:key|code|sig|session|sid|auth|otp)$/u;
/** What follows the name of a secret, such as in `token_hash`. */
const addedWord = /^(?:id|hash|value)$/u;
/** The user and the password of an address. */
const credentials = /(?<=\bhttps?:\/\/)[^\s/?#@]{1,256}(?=@)/giu;

/**
 * What is replaced in the text of a page. The host of its own address says where the user is, and is nobody's data, also if it
 * is an IP address; the secrets in addresses are no personal data, and nevertheless for no model.
 * @param personal what was found in the text by itself
 */
export function findInPage(text: string, personal: readonly Finding[]): Finding[] {
  // What stands before the host is replaced as a secret; an e-mail address in the path seems to begin with the host.
  const hostEnd = ownHost.exec(text)?.[0].length ?? 0;
  const others = personal
    .filter(({ end }) => end > hostEnd)
    .map((finding) => ({ ...finding, start: Math.max(finding.start, hostEnd) }));
  const users = [...text.matchAll(credentials)].map(({ index, 0: found }) => secretAt(index, index + found.length));
  return joinFindings([...others, ...findSecretValues(text), ...users]);
}

/** The values of parameters whose names say that they are secrets. No part of the text is read more than twice. */
function findSecretValues(text: string): Finding[] {
  const found: Finding[] = [];
  let end = 0;
  for (const { index, 0: head, 1: name = '', 2: level } of text.matchAll(parameter)) {
    // What looks like a parameter within a secret is part of it.
    if (index < end || !isSecretName(name)) continue;
    const pattern = (level === undefined ? null : encodedValues[level.length / 2]) ?? value;
    const start = index + head.length;
    pattern.lastIndex = start;
    end = start + (pattern.exec(text)?.[0].length ?? 0);
    if (end > start) found.push(secretAt(start, end));
  }
  return found;
}

function secretAt(start: number, end: number): Finding {
  return { start, end, label: 'SECRET', placeholder: '[SECRET]' };
}

function isSecretName(name: string): boolean {
  const divided = name
    .replaceAll(/%(?:25)*5[bd]/giu, '_')
    .replaceAll(/([a-z\d])([A-Z])|([A-Z])(?=[A-Z][a-z])/gu, '$1$3_$2');
  const words = divided.toLowerCase().split(/[^a-z]+/u);
  const named = words.filter((word) => word !== '');
  if (named.length > 1 && addedWord.test(named.at(-1) ?? '')) named.pop();
  return secretName.test(named.join('')) || secretWord.test(named.at(-1) ?? '');
}
