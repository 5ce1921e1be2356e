import { parseBlock } from './parse-block.ts';
import { whenIdle } from './when-idle.ts';
import { writeNumber } from './write-number.ts';

/** A little of everything that answers often have. */
const samples = [
  'Some **text** and `code`: [a link](https://example.com)',
  '- one\n- two',
  '```ts\n1\n```',
  '| a |\n|---|\n| 1 |',
];

const steps = [...samples.map((sample) => () => parseBlock(sample)), () => writeNumber(1_000)];

/**
 * Uses once, step by step and while the browser has nothing to do, what is slow when it is first used. Otherwise that makes
 * the first frame with an answer late, or the one in which a turn ends.
 */
export function warmUp(at = 0): void {
  const step = steps[at];
  if (step === undefined) return;
  whenIdle(() => {
    step();
    warmUp(at + 1);
  }, 5_000);
}
