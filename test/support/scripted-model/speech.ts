import { speakStepwise } from '../../../src/demo/tones.ts';

/** The WAV file that the demo speaks for a text, made in one go. */
export function speakInTones(text: string, sampleRate: number): Buffer {
  const speaking = speakStepwise(text, sampleRate);
  for (;;) {
    const { done, value } = speaking.next();
    if (done) return value;
  }
}
