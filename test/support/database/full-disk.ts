import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

// Loaded into a process with --import: while the file that FULL_DISK names exists, nothing more is written to any file, as
// on a disk that is full. A small file system of its own would need the right to mount one.

const { writeSync } = fs;
const flag = process.env.FULL_DISK ?? '';

function writeUnlessFull(...args: Parameters<typeof writeSync>): number {
  if (fs.existsSync(flag)) {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), {
      code: 'ENOSPC',
      errno: -28,
      syscall: 'write',
    });
  }
  return writeSync(...args);
}

Object.assign(fs, { writeSync: writeUnlessFull });
syncBuiltinESMExports();
