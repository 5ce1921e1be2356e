/** The full-text configurations that every PostgreSQL has: words of these languages are reduced to their stems. */
export const languages = [
  'simple',
  'arabic',
  'danish',
  'dutch',
  'english',
  'finnish',
  'french',
  'german',
  'greek',
  'hungarian',
  'indonesian',
  'irish',
  'italian',
  'lithuanian',
  'nepali',
  'norwegian',
  'portuguese',
  'romanian',
  'russian',
  'spanish',
  'swedish',
  'tamil',
  'turkish',
] as const;

/** Whether a text names a full-text configuration. */
export function isLanguage(name: string): boolean {
  return languages.some((language) => language === name);
}
