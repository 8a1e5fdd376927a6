// window.unheat: the page for scripts and tests. Everything that a button does can be done from here.
import { bytesOf } from "./weights.js";

/// `parts` resolves with { session, check, bench, start, load } once the engine is open; `ready` with the
/// first start.
export function publish(parts, ready) {
  let session = null;
  parts.then(
    (all) => (session = all.session),
    () => {},
  );
  const opened =
    (job) =>
    async (...values) =>
      job(await parts, ...values);

  window.unheat = Object.freeze({
    ready,
    /// Starts and does not run on by itself.
    start: opened(({ start }, settings = {}) => start(settings, { run: false })),
    load: opened(({ load }, bytes, name = "weights.safetensors") =>
      load(bytesOf(bytes), String(name), { run: false }),
    ),
    /// Pauses and does `count` steps; resolves with their rows per method.
    step: opened(({ session: one }, count = 1) => {
      const whole = Math.trunc(Number(count));
      if (!(whole >= 1)) throw new Error(`step ${count}: must be a whole number from 1 on`);
      return one.stepBy(whole);
    }),
    /// All rows so far per method.
    losses: () =>
      Object.fromEntries(Object.entries(session?.rows ?? {}).map(([name, rows]) => [name, [...rows]])),
    predict: opened(({ session: one }, field) => one.ask("predict", Float32Array.from(field))),
    observe: opened(({ session: one }, field, amount) =>
      one.ask("observe", Float32Array.from(field), amount),
    ),
    weights: opened(({ session: one }, method) => one.ask("weights", method ?? one.started?.methods[0])),
    check: opened(({ check }, options = {}) => check(options)),
    bench: opened(({ bench }) => bench()),
    pause: opened(({ session: one }) => one.pause()),
    resume: opened(({ session: one }) => one.resume()),
    /// Loses the device, as a driver does that is reset.
    lose: opened(({ session: one }) => one.engine.lose()),
    get device() {
      return session?.started?.device ?? null;
    },
    get settings() {
      return session?.settings ? { ...session.settings } : null;
    },
  });
}
