import { readdirSync, readFileSync } from 'node:fs';

/** The most that a process has held while it was watched. */
export interface Peaks {
  /** Bytes of the process that serves. */
  rss: number;
  files: number;
}

/** Watches what a process holds, in /proc. */
export class ProcessWatch implements Disposable {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peaks: Peaks = { rss: 0, files: 0 };

  /**
   * @param maxRss bytes; beyond them `onTooMuch` is called, once
   */
  constructor(pid: number, maxRss: number, onTooMuch: (rss: number) => void) {
    this.#pid = pid;
    let reported = false;
    this.#timer = setInterval(() => {
      const { rss } = this.#read();
      if (rss <= maxRss || reported) return;
      reported = true;
      onTooMuch(rss);
    }, 100);
  }

  /** The peaks since the last call. */
  takePeaks(): Peaks {
    this.#read();
    const peaks = this.#peaks;
    this.#peaks = { rss: 0, files: 0 };
    return peaks;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #read(): Peaks {
    const now = { rss: readRss(this.#pid), files: countFiles(this.#pid) };
    this.#peaks = { rss: Math.max(this.#peaks.rss, now.rss), files: Math.max(this.#peaks.files, now.files) };
    return now;
  }
}

/** Bytes of memory of a process; 0 if it has ended. */
function readRss(pid: number): number {
  try {
    const [, kilobytes = '0'] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kilobytes) * 1024;
  } catch {
    return 0;
  }
}

function countFiles(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}
