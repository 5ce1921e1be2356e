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

/** How many there are to a second of CPU time in /proc (USER_HZ, proc(5)). */
const ticksPerSecond = 100;

/** CPU seconds of a process since it was started; 0 if it has ended. */
export function readCpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // After the name, which may hold anything: state, parent, …; user and system time are the 12th and 13th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return 0;
  }
}
