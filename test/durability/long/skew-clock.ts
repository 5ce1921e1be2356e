// For `node --import`: the process believes that it is CLOCK_SKEW_MS later than it is. What counts durations
// (performance.now, timers) stays as it is, as with a clock that is set wrong.

const skewMs = Number(process.env.CLOCK_SKEW_MS);
const RealDate = Date;
const now = () => RealDate.now() + skewMs;

globalThis.Date = new Proxy(RealDate, {
  construct: (_, args, target) => Reflect.construct(RealDate, args.length === 0 ? [now()] : args, target),
  get: (real, name) => (name === 'now' ? now : Reflect.get(real, name)),
});
