import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { answerCalls } from '../rpc.ts';
import type { LoopLoad } from './loop-load.ts';

// Imported into the server by the soak. The server ends with the soak, also if that is killed, and says what it does.

const resolution = 5;
const delays = monitorEventLoopDelay({ resolution });
delays.enable();
let utilization = performance.eventLoopUtilization();

answerCalls({
  takeLoad: (): LoopLoad => {
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolution);
    const delayMs = { p50: late(delays.percentile(50)), p99: late(delays.percentile(99)), max: late(delays.max) };
    const now = performance.eventLoopUtilization();
    const { utilization: busy } = performance.eventLoopUtilization(now, utilization);
    utilization = now;
    delays.reset();
    return { busy, delayMs };
  },
});
// The server ends when it wants to, not when the soak lets go of it.
process.channel?.unref();
