import type { ReceivedRequest } from './steps.ts';

const maxShown = 1_200;

/** The lines of data in the instructions: each begins with `| `, between two lines with one code. */
const data = /^BEGIN CONTEXT ([0-9a-f]{32})\n((?:\| .*\n)*)END CONTEXT \1$/m;

/** What the demo model says if somebody asks what they see, and the instructions say it; undefined: something else is asked. */
export function describeContext(request: ReceivedRequest, text: string): string | undefined {
  if (!/\bwhat\b.*\b(?:do i see|am i looking at|is on my screen)\b/iu.test(text)) return undefined;
  const lines = data.exec(request.instructions)?.[2];
  if (lines === undefined) return 'I was given nothing of what you see: name a snapshot with contextSnapshotId.';
  const shown = lines.replaceAll(/^\| /gm, '').trimEnd();
  return `This is what you see:\n\n${shown.length > maxShown ? `${shown.slice(0, maxShown).toWellFormed()}…` : shown}`;
}
