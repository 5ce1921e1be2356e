import { whisperRate } from './wav.ts';

/** How finely silence is told from sound, in milliseconds. */
const windowMs = 50;
const windowSamples = (windowMs / 1_000) * whisperRate;
/** What is this much quieter than the loudest part (26 dB), or than the loudest there can be (60 dB), is silence. */
const quieter = { thanLoudest: 0.05, thanFull: 0.001 } as const;

/** Finds out where the last sound of audio is, as it goes by. */
export class LastSoundDetector {
  readonly #loudness: number[] = [];
  #squares = 0;
  #count = 0;

  /** Takes in what comes next. @param samples 16,000 a second, from -1 to 1 */
  add(samples: Float32Array): void {
    for (const sample of samples) {
      this.#squares += sample * sample;
      this.#count += 1;
      if (this.#count === windowSamples) this.#finishWindow();
    }
  }

  /** Where the last sound ends, in milliseconds; 0: all is silence. */
  get endMs(): number {
    const last = this.#count > 0 ? [Math.sqrt(this.#squares / this.#count)] : [];
    const loudness = [...this.#loudness, ...last];
    let loudest = 0;
    for (const one of loudness) loudest = Math.max(loudest, one);
    const least = Math.max(quieter.thanFull, loudest * quieter.thanLoudest);
    return (loudness.findLastIndex((one) => one >= least) + 1) * windowMs;
  }

  #finishWindow(): void {
    this.#loudness.push(Math.sqrt(this.#squares / this.#count));
    this.#squares = 0;
    this.#count = 0;
  }
}
