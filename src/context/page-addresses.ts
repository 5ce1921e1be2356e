import { type Finding, joinFindings } from '../guardrails/find.ts';

/** The address that the text of a page begins with, as far as its host. */
const ownHost = /^\s*https?:\/\/(?:[^\s/?#@]{1,256}@)?(?:\[[0-9a-f:.]{2,45}\]|[^\s/?#@:[\]]{1,253})/iu;

/** The value of a parameter of an address, if its name says that it is a secret. */
const secretValue =
  /(?<=[?&#;](?:[\w.-]{0,40}(?:token|secret|password|passwd|pwd|jwt|signature|apikey|accesskey)|(?:[\w.-]{0,40}[._-])?(?:key|code|sig|session|sid|auth))=)[^\s&#;"'<>]+/giu;
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
  const secrets = [secretValue, credentials].flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => ({
      start: match.index,
      end: match.index + match[0].length,
      label: 'SECRET',
      placeholder: '[SECRET]',
    })),
  );
  return joinFindings([...others, ...secrets]);
}
