/** Samples per second that Whisper takes. */
export const whisperRate = 16_000;

/** How the samples of a WAV are written. */
type Encoding = 'integer' | 'float' | 'alaw' | 'ulaw';

/** A WAV file: its format and its samples. */
export interface Wav {
  readonly encoding: Encoding;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bitsPerSample: number;
  /** The samples as they are encoded, channels interleaved. */
  readonly data: Buffer;
  /** Its length in milliseconds. */
  readonly durationMs: number;
}

/** A WAV file that cannot be read; the message says why, for people. */
export class UnreadableWavError extends Error {
  override readonly name = 'UnreadableWavError';
  /** Whether others may be able to read it. */
  readonly compressed: boolean;

  constructor(message: string, from: { readonly compressed: boolean } = { compressed: false }) {
    super(message);
    this.compressed = from.compressed;
  }
}

const encodings: Readonly<Record<number, Encoding>> = { 1: 'integer', 3: 'float', 6: 'alaw', 7: 'ulaw' };
/** WAVE_FORMAT_EXTENSIBLE: the encoding is in the first bytes of the sub-format. */
const extensible = 0xfffe;
/** The size in a file that was written while it was recorded. */
const unknownSize = 0xffffffff;

/** Real files have a dozen. A file of 25 MB could have three million empty ones. */
const maxChunks = 1_000;

/** A chunk of a RIFF file. */
export interface RiffChunk {
  readonly id: string;
  /** Where its data begins in the file, in bytes. */
  readonly start: number;
  /** How many bytes of data its header declares; of a file that was written while it was recorded, `unknownSize`. */
  readonly declaredSize: number;
  /** The data, as far as the file has it: the last chunk may be cut. */
  readonly data: Buffer;
}

/** The chunks of a RIFF file, or of its beginning, in order: the first 1,000 of them. */
export function* listRiffChunks(file: Buffer): Generator<RiffChunk> {
  let at = 12;
  for (let count = 0; count < maxChunks && at + 8 <= file.length; count += 1) {
    const declaredSize = file.readUInt32LE(at + 4);
    const start = at + 8;
    const end = declaredSize === unknownSize ? file.length : start + declaredSize;
    const data = file.subarray(start, Math.min(end, file.length));
    yield { id: file.toString('latin1', at, at + 4), start, declaredSize, data };
    // Chunks begin at even positions.
    at = end + (declaredSize % 2);
  }
}

/**
 * Reads the header of a WAV file.
 * @throws {UnreadableWavError} when it is broken, holds no sound, or is compressed
 */
export function readWav(file: Buffer): Wav {
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE') {
    throw new UnreadableWavError('it is not a WAV file');
  }
  let format: Omit<Wav, 'data' | 'durationMs'> | null = null;
  for (const { id, data } of listRiffChunks(file)) {
    if (id === 'fmt ') format = readFormat(data);
    if (id !== 'data') continue;
    if (format === null) throw new UnreadableWavError('its samples come before their format');
    const frame = format.channels * (format.bitsPerSample / 8);
    const frames = Math.floor(data.length / frame);
    if (frames === 0) break;
    const durationMs = Math.round((frames * 1_000) / format.sampleRate);
    return { ...format, data: data.subarray(0, frames * frame), durationMs };
  }
  throw new UnreadableWavError('it holds no sound');
}

function readFormat(data: Buffer): Omit<Wav, 'data' | 'durationMs'> {
  if (data.length < 16) throw new UnreadableWavError('its fmt chunk is too short');
  const tag = data.readUInt16LE(0);
  const encoding = encodings[tag === extensible && data.length >= 26 ? data.readUInt16LE(24) : tag];
  const [channels, sampleRate, bitsPerSample] = [data.readUInt16LE(2), data.readUInt32LE(4), data.readUInt16LE(14)];
  if (encoding === undefined) {
    throw new UnreadableWavError('it is compressed in a way that is not supported', { compressed: true });
  }
  const sizes = encoding === 'integer' ? [8, 16, 24, 32] : encoding === 'float' ? [32, 64] : [8];
  const sane = channels >= 1 && channels <= 64 && sampleRate >= 1_000 && sampleRate <= 768_000;
  if (!sane || !sizes.includes(bitsPerSample)) throw new UnreadableWavError('its fmt chunk is invalid');
  return { encoding, channels, sampleRate, bitsPerSample };
}

/**
 * Decodes the samples of a WAV to the form that Whisper takes, one second at a time: one channel, 16,000 samples per
 * second, from -1 to 1. Channels are averaged; a higher rate is reduced by averaging (a plain low-pass), a lower one is
 * raised by interpolation.
 */
export function* decodeForWhisper(wav: Wav): Generator<Float32Array, void, undefined> {
  const step = wav.sampleRate / whisperRate;
  const frames = wav.data.length / (wav.channels * (wav.bitsPerSample / 8));
  const total = Math.max(1, Math.floor(frames / step));
  for (let from = 0; from < total; from += whisperRate) {
    const count = Math.min(whisperRate, total - from);
    const first = Math.floor(from * step);
    const mono = mixDown(wav, first, Math.min(frames, Math.ceil((from + count) * step) + 1));
    yield step === 1 ? mono.subarray(0, count) : resample(mono, step, from * step - first, count);
  }
}

/** The frames of a part of a WAV, their channels averaged. */
function mixDown({ data, channels, bitsPerSample, encoding }: Wav, from: number, to: number): Float32Array {
  const bytes = bitsPerSample / 8;
  const read = sampleReader(encoding, bitsPerSample);
  const mono = new Float32Array(to - from);
  for (let frame = 0, at = from * bytes * channels; frame < mono.length; frame += 1) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel += 1, at += bytes) sum += read(data, at);
    const mean = sum / channels;
    // A file of floats can hold infinities and NaN.
    mono[frame] = Number.isFinite(mean) ? Math.max(-1, Math.min(1, mean)) : 0;
  }
  return mono;
}

function sampleReader(encoding: Encoding, bits: number): (data: Buffer, at: number) => number {
  if (encoding === 'alaw') return (data, at) => expandALaw(data.readUInt8(at));
  if (encoding === 'ulaw') return (data, at) => expandULaw(data.readUInt8(at));
  if (encoding === 'float') {
    return bits === 64 ? (data, at) => data.readDoubleLE(at) : (data, at) => data.readFloatLE(at);
  }
  // Bytes are unsigned, everything longer is signed.
  if (bits === 8) return (data, at) => (data.readUInt8(at) - 128) / 128;
  const scale = 2 ** (bits - 1);
  return (data, at) => data.readIntLE(at, bits / 8) / scale;
}

/** A-law of ITU-T G.711. */
function expandALaw(byte: number): number {
  const value = byte ^ 0x55;
  const exponent = (value >> 4) & 7;
  const mantissa = ((value & 15) << 4) + 8;
  const magnitude = exponent === 0 ? mantissa : (mantissa + 256) << (exponent - 1);
  return (value & 0x80 ? magnitude : -magnitude) / 32_768;
}

/** µ-law of ITU-T G.711. */
function expandULaw(byte: number): number {
  const value = ~byte & 0xff;
  const magnitude = ((((value & 15) << 3) + 132) << ((value >> 4) & 7)) - 132;
  return (value & 0x80 ? -magnitude : magnitude) / 32_768;
}

/** @param offset position of the first new sample among the old ones @param count how many new samples there are */
function resample(samples: Float32Array, step: number, offset: number, count: number): Float32Array {
  const result = new Float32Array(count);
  for (let index = 0; index < count; index += 1) {
    const position = offset + index * step;
    const first = Math.floor(position);
    if (step > 1) {
      const end = Math.min(samples.length, Math.max(first + 1, Math.floor(position + step)));
      let sum = 0;
      for (let at = first; at < end; at += 1) sum += samples[at] ?? 0;
      result[index] = sum / Math.max(1, end - first);
    } else {
      const left = samples[first] ?? 0;
      result[index] = left + ((samples[first + 1] ?? left) - left) * (position - first);
    }
  }
  return result;
}
