/** A value as a person edits it. Empty: there is none. */
export const showJson = (value: unknown): string =>
  value === null || value === undefined ? '' : JSON.stringify(value, null, 2);

/** What a person has written. What is no JSON goes to the server as text, which says at its field what it must be. */
export function readJson(text: string): unknown {
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A text of a field that may be empty. */
export const readText = (text: string): string | null => (text.trim() === '' ? null : text.trim());

/** A number of a field that may be empty. */
export const readNumber = (text: string): number | null => (text.trim() === '' ? null : Number(text));
