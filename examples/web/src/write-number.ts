let format: Intl.NumberFormat | null = null;

/** A number as people of the browser's language write it. */
export function writeNumber(value: number): string {
  // To make one reads the rules of the language, which can take as long as a frame.
  format ??= new Intl.NumberFormat();
  return format.format(value);
}
