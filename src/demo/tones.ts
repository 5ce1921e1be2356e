import { setImmediate as afterOthers } from 'node:timers/promises';

/** What names the demo in its files: ISFT, the software. */
export const demoSoftware = "Switchboard's demo model";

const letterMs = 28;
const wordPauseMs = 60;
const lowestHz = 220;
const volume = 0.25;
/** After so many samples, whoever speaks lets others have their turn: some milliseconds. */
const yieldEverySamples = 32_000;
/** Samples over which a tone comes and goes, so that it does not click. */
const fadeMs = 6;

/**
 * Speaks a text in tones: a tone for each word, as long as it has letters, on a pentatonic scale, and a pause after it.
 * The same text always sounds the same. The rest of the process has its turn every few milliseconds.
 * @param sampleRate samples per second
 * @returns a WAV file of 16 bits, one channel, with the text in it (INFO: ICMT)
 */
export async function speakInChunks(text: string, sampleRate: number): Promise<Buffer> {
  const speaking = speakStepwise(text, sampleRate);
  for (;;) {
    const { done, value } = speaking.next();
    if (done) return value;
    await afterOthers();
  }
}

/** Speaks as `speakInChunks` does, and yields at each point at which the caller may interrupt it. */
export function* speakStepwise(text: string, sampleRate: number): Generator<undefined, Buffer, undefined> {
  const words = text.split(/\s+/u).filter((word) => word !== '');
  const samplesOf = (ms: number) => Math.round((ms * sampleRate) / 1_000);
  const lengths = words.map((word) => samplesOf([...word].length * letterMs));
  const pause = samplesOf(wordPauseMs);
  const total = lengths.reduce((sum, length) => sum + length + pause, 0);
  const samples = Buffer.alloc(Math.max(total, pause) * 2);
  let at = 0;
  for (const [index, word] of words.entries()) {
    const length = lengths[index] ?? 0;
    yield* writeTone(samples, at, length, pitchOf(word), sampleRate);
    at += length + pause;
  }
  return writeWav(samples, sampleRate, text);
}

function pitchOf(word: string): number {
  let sum = 0;
  for (const character of word.toLowerCase()) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 1_009;
  const steps = [0, 2, 4, 7, 9, 12, 14, 16];
  return lowestHz * 2 ** ((steps[sum % steps.length] ?? 0) / 12);
}

function* writeTone(
  samples: Buffer,
  from: number,
  length: number,
  hertz: number,
  sampleRate: number,
): Generator<undefined, void, undefined> {
  const fade = Math.max(1, Math.round((fadeMs * sampleRate) / 1_000));
  for (let index = 0; index < length; index += 1) {
    const loudness = Math.min(1, index / fade, (length - index) / fade) * volume;
    const value = Math.sin((2 * Math.PI * hertz * index) / sampleRate) * loudness;
    samples.writeInt16LE(Math.round(value * 32_767), (from + index) * 2);
    if ((from + index) % yieldEverySamples === 0) yield;
  }
}

/** A WAV file: RIFF with a format, the text as information, and the samples. */
function writeWav(samples: Buffer, sampleRate: number, text: string): Buffer {
  const format = Buffer.alloc(16);
  format.writeUInt16LE(1, 0);
  format.writeUInt16LE(1, 2);
  format.writeUInt32LE(sampleRate, 4);
  format.writeUInt32LE(sampleRate * 2, 8);
  format.writeUInt16LE(2, 12);
  format.writeUInt16LE(16, 14);
  const info = Buffer.concat([
    Buffer.from('INFO'),
    chunk('ISFT', Buffer.from(`${demoSoftware}\0`)),
    chunk('ICMT', Buffer.from(`${text}\0`)),
  ]);
  const body = Buffer.concat([Buffer.from('WAVE'), chunk('fmt ', format), chunk('LIST', info), chunk('data', samples)]);
  const head = Buffer.alloc(8);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(body.length, 4);
  return Buffer.concat([head, body]);
}

function chunk(id: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.write(id, 0, 'latin1');
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}
