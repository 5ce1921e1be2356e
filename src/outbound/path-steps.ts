/** How often a value is decoded in search of a separator. No honest value is encoded more often. */
const maxDecodings = 8;
/** Spellings of `/`, `\` and `.` that some servers decode although they are invalid: overlong UTF-8, and %uXXXX. */
const invalidEncodings = /%(c0%a[ef]|c1%9c|e0%80%a[ef]|u[0-9a-f]{4})/i;
const encodedByte = /%([0-9a-f]{2})/gi;

/**
 * Whether a value can be one step of a path: however a server decodes it, it adds no step and is not `.` or `..`. Servers
 * and proxies differ: some decode before they route, some twice, and some drop what follows a `;` or a control character.
 */
export function isOneStep(value: string): boolean {
  let text = value;
  for (let round = 0; round <= maxDecodings; round++) {
    // Some servers map compatibility characters such as U+FF0F to ASCII.
    const plain = text.normalize('NFKC');
    if (/[/\\]/.test(plain) || invalidEncodings.test(plain) || isEmptyOrDots(plain)) return false;
    const decoded = plain.replace(encodedByte, (_code, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (decoded === plain) return true;
    text = decoded;
  }
  return false;
}

/** Whether a value can be one or more steps of a path. */
export function areSteps(value: string): boolean {
  return value.split('/').every(isOneStep);
}

function isEmptyOrDots(step: string): boolean {
  const [used = ''] = step.split(/[;\p{Cc}]/u, 1);
  return /^\s*\.{1,2}\s*$/.test(used) || step === '';
}
