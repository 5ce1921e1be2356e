import { workerData } from 'node:worker_threads';
import { z } from 'zod';

// A thread beside the one that reads documents, in the process for it: it ends the process when it takes too much memory.
// The heap of the other thread has a limit of its own, but what it unpacks is outside of the heap.

/** How often the memory is measured: what is unpacked grows by some 100 MB in this time. */
const everyMs = 50;

const { maxBytes } = z.object({ maxBytes: z.number() }).parse(workerData);

setInterval(() => {
  // The exit of a worker thread ends that thread alone, and handlers would need the one that is busy.
  if (process.memoryUsage.rss() > maxBytes) process.kill(process.pid, 'SIGKILL');
}, everyMs);
