import { expect, test } from 'vitest';
import { toLanguageTag } from '../../src/providers/speech/transcription.ts';
import { decodeForWhisper, listRiffChunks, readWav } from '../../src/providers/speech/wav.ts';
import { speakInTones } from '../support/scripted-model/speech.ts';

type Writer = (data: Buffer, value: number, at: number) => void;

/** How samples from -1 to 1 are written: tag, bits and how. */
const formats: Record<string, { tag: number; bits: number; write: Writer; exact?: number }> = {
  '8 bits': {
    tag: 1,
    bits: 8,
    write: (data, value, at) => data.writeUInt8(Math.round(value * 127) + 128, at),
    exact: 1,
  },
  '16 bits': { tag: 1, bits: 16, write: (data, value, at) => data.writeInt16LE(Math.round(value * 32_767), at) },
  '24 bits': { tag: 1, bits: 24, write: (data, value, at) => data.writeIntLE(Math.round(value * 8_388_607), at, 3) },
  '32 bits': { tag: 1, bits: 32, write: (data, value, at) => data.writeInt32LE(Math.round(value * 2_147_483_647), at) },
  float: { tag: 3, bits: 32, write: (data, value, at) => data.writeFloatLE(value, at) },
  double: { tag: 3, bits: 64, write: (data, value, at) => data.writeDoubleLE(value, at) },
  extensible: { tag: 0xfffe, bits: 16, write: (data, value, at) => data.writeInt16LE(Math.round(value * 32_767), at) },
};

function writeWav(
  { tag, bits, write }: { tag: number; bits: number; write: Writer },
  channels: number,
  sampleRate: number,
  values: readonly number[],
): Buffer {
  const bytes = bits / 8;
  const format = Buffer.alloc(40);
  format.writeUInt16LE(tag, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(sampleRate, 4);
  format.writeUInt32LE(sampleRate * channels * bytes, 8);
  format.writeUInt16LE(channels * bytes, 12);
  format.writeUInt16LE(bits, 14);
  format.writeUInt16LE(1, 24);
  const data = Buffer.alloc(values.length * bytes);
  for (const [index, value] of values.entries()) write(data, value, index * bytes);
  // A chunk of an odd length comes between, with its padding.
  return Buffer.concat([
    Buffer.from('RIFF\0\0\0\0WAVE'),
    ...[['fmt ', format] as const, ['junk', Buffer.from('odd')] as const, ['data', data] as const].map(([id, body]) => {
      const size = Buffer.alloc(4);
      size.writeUInt32LE(body.length);
      return Buffer.concat([Buffer.from(id), size, body, Buffer.alloc(body.length % 2)]);
    }),
  ]);
}

const decode = (file: Buffer) => [...decodeForWhisper(readWav(file))].flatMap((block) => [...block]);

test.each(Object.keys(formats))('WAV, %s: both channels are averaged', (name) => {
  const format = formats[name];
  if (!format) throw new Error(name);
  const file = writeWav(format, 2, 16_000, [0.5, 0.5, -0.5, -0.5, 0.5, -0.5, 0, 1]);
  expect(readWav(file)).toMatchObject({ channels: 2, sampleRate: 16_000, bitsPerSample: format.bits });
  const samples = decode(file);
  expect(samples.length).toBe(4);
  for (const [index, wanted] of [0.5, -0.5, 0, 0.5].entries()) {
    expect(samples[index]).toBeCloseTo(wanted, format.exact ?? 3);
  }
});

test.each([
  ['A-law', 6, [0xd5, 0x55, 0xaa, 0x2a], [8 / 32_768, -8 / 32_768, 32_256 / 32_768, -32_256 / 32_768]],
  ['µ-law', 7, [0xff, 0x7f, 0x80, 0x00], [0, 0, 32_124 / 32_768, -32_124 / 32_768]],
])('WAV, %s, is decoded by the tables of G.711', (_, tag, bytes, wanted) => {
  const file = writeWav({ tag, bits: 8, write: (data, value, at) => data.writeUInt8(value, at) }, 1, 16_000, bytes);
  expect(decode(file).map((value) => Math.round(value * 32_768))).toEqual(
    wanted.map((value) => Math.round(value * 32_768)),
  );
});

test.each([8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000])(
  'A tone keeps its pitch and its length from %d Hz',
  (rate) => {
    const seconds = 2.5;
    const tone = Array.from(
      { length: seconds * rate },
      (_, index) => Math.sin((2 * Math.PI * 440 * index) / rate) * 0.5,
    );
    const samples = decode(writeWav(formats.float ?? { tag: 0, bits: 8, write: () => {} }, 1, rate, tone));
    expect(Math.abs(samples.length - seconds * 16_000)).toBeLessThanOrEqual(2);
    const crossings = samples.filter((value, index) => index > 0 && (samples[index - 1] ?? 0) < 0 && value >= 0).length;
    expect(Math.abs(crossings - 440 * seconds)).toBeLessThanOrEqual(2);
    // No click where one second's block meets the next.
    const steepest = Math.max(...samples.slice(1).map((value, index) => Math.abs(value - (samples[index] ?? 0))));
    expect(steepest).toBeLessThan(0.12);
  },
);

test('Floats that are not numbers, or too loud, do no harm', () => {
  const file = writeWav(formats.float ?? { tag: 0, bits: 8, write: () => {} }, 1, 16_000, [
    Number.NaN,
    Infinity,
    -7,
    7,
  ]);
  expect(decode(file)).toEqual([0, 0, -1, 1]);
});

test('A file whose sizes were not known when it was begun is read to its end', () => {
  const file = Buffer.from(speakInTones('Hello.', 16_000));
  const whole = readWav(file);
  file.writeUInt32LE(0xffffffff, file.indexOf('data') + 4);
  expect(readWav(file)).toMatchObject({ durationMs: whole.durationMs });
});

test.each([0, 4, 11, 12, 19, 20, 30, 43])('A WAV that is cut after %d bytes is refused and nothing worse', (length) => {
  expect(() => readWav(speakInTones('Hello.', 16_000).subarray(0, length))).toThrow(
    /it is not a WAV|holds no sound|is too short/,
  );
});

test.each([
  ['english', 'en'],
  ['German', 'de'],
  ['indonesian', 'id'],
  ['hebrew', 'he'],
  ['pt-BR', 'pt-BR'],
  ['klingon', 'klingon'],
])('The language %s is %s', (name, tag) => {
  expect(toLanguageTag(name)).toBe(tag);
});

test('A file of nothing but empty chunks is given up after a thousand', () => {
  const empty = Buffer.from('junk\0\0\0\0');
  const chunks = (count: number) => {
    const [format, samples] = [
      writeWav(formats['8 bits'] ?? never(), 1, 8_000, [0.5]).subarray(12, 60),
      'data\x01\0\0\0\x80\0',
    ];
    const filler = Buffer.concat(Array.from({ length: count }, () => empty));
    return Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE'), format, filler, Buffer.from(samples, 'latin1')]);
  };
  expect(readWav(chunks(900)).data.length).toBe(1);
  expect(() => readWav(chunks(1_000))).toThrow('it holds no sound');
  expect([...listRiffChunks(chunks(100_000))].length).toBe(1_000);
});

function never(): never {
  throw new Error('There is no such format.');
}
