// The state machine of a training: start, run, pause, step, wait, recover. It alone calls advance, start
// and load.
//
// A training runs while somebody wants it to (`wanted`), nothing holds it (`holds`: a start, a step of a
// script, a check), the tab is shown, and it is whole (`phase` is "ready") and not at its `limit`.
import { complete, inForce } from "./settings.js";

const BEAT = 250; // milliseconds between two drawings
const TRUST = 50; // steps after a recovery that earn another one

export class Session {
  /// `makeCanvases` returns { offscreen, show(started) }: new canvases, put into the page only if a start
  /// succeeds.
  constructor(engine, usual, makeCanvases) {
    Object.assign(this, { engine, usual, makeCanvases });
    this.phase = "none"; // none, starting, ready, recovering, lost (device), broken
    this.wanted = false;
    this.holds = 0;
    this.waits = 0; // those of `holds` that wait for the step that is being computed, or for each other
    this.latest = null; // the newest start: older ones that still wait give way to it
    this.recovery = null; // one that somebody asked for
    this.why = ""; // what holds it, for the status line
    this.hidden = false;
    this.looping = null;
    this.tail = Promise.resolve();
    this.epoch = 0; // counts starts and recoveries: what fails from an older one no longer matters
    this.listeners = { started: [], rows: [], state: [] };
    this.forget();
  }

  forget() {
    Object.assign(this, {
      step: 0,
      rows: {},
      secondsPerStep: NaN,
      stopped: null,
      note: null, // such as which methods have stopped, while others go on
      message: "",
      again: "", // why a new start did not help after a training had broken off
      chunkSize: 1,
    });
    Object.assign(this, { recoveredAt: null });
  }

  on(name, listener) {
    this.listeners[name].push(listener);
  }

  tell(name) {
    for (const listener of this.listeners[name]) listener(this);
  }

  /// What the training does now, in one word.
  get state() {
    if (this.phase !== "ready") return this.phase;
    if (this.stopped) return "stopped";
    if (this.holds > 0 && this.why) return "held";
    if (this.waits > 0 && (this.looping || this.stepping)) return "waiting";
    if (this.step >= this.limit && !this.stepping) return "finished";
    if (this.stepping) return "running";
    if (!this.wanted) return this.looping ? "pausing" : "paused";
    return this.hidden ? "hidden" : "running";
  }

  get mayRun() {
    return this.holds === 0 && this.state === "running";
  }

  /// Runs `job` alone: nothing trains meanwhile, and other jobs wait.
  exclusive(job, why = "") {
    this.holds += 1;
    this.waits += 1;
    this.tell("state");
    const turn = this.tail.then(async () => {
      await this.looping;
      this.waits -= 1;
      this.why = why;
      this.tell("state");
      try {
        return await job();
      } finally {
        this.why = "";
        this.holds -= 1;
        this.kick();
      }
    });
    this.tail = turn.catch(() => {});
    return turn;
  }

  kick() {
    this.tell("state");
    if (this.looping || !this.mayRun) return;
    this.looping = this.loop().finally(() => {
      this.looping = null;
      this.kick();
    });
  }

  async loop() {
    try {
      while (this.mayRun) await this.chunk(this.limit);
    } catch {
      // chunk() has said it.
    }
  }

  /// Some steps, about a beat long, and never beyond `target`.
  async chunk(target) {
    const epoch = this.epoch;
    const count = Math.max(1, Math.min(this.chunkSize, target - this.step));
    const before = performance.now();
    try {
      const news = await this.engine.advance({ steps: count });
      const took = Math.max(performance.now() - before, 1);
      this.chunkSize = Math.max(1, Math.min(Math.floor((count * BEAT) / took), 2 * count));
      this.step = news.step;
      this.secondsPerStep = news.secondsPerStep;
      this.stopped = news.stopped;
      this.note = news.note ?? this.note;
      for (const [method, rows] of Object.entries(news.rows)) (this.rows[method] ??= []).push(...rows);
      if (this.recoveredAt !== null && this.step >= this.recoveredAt + TRUST) this.recoveredAt = null;
      this.tell("rows");
      this.tell("state");
    } catch (error) {
      await this.failed(error, epoch);
    }
  }

  /// After an error of the engine: recovers once from a lost device, or says that it cannot and throws.
  async failed(error, epoch) {
    if (epoch !== this.epoch) return;
    if (error.kind === "device" && this.recoveredAt === null) return this.reopen(error);
    this.broke(error);
    throw error;
  }

  broke(error) {
    this.phase = error.kind === "device" ? "lost" : "broken";
    this.message = error.message;
    this.again = "";
    this.tell("state");
  }

  async reopen(error) {
    Object.assign(this, { phase: "recovering", message: error ? error.message : this.message });
    this.epoch += 1;
    this.tell("state");
    const canvases = this.makeCanvases();
    try {
      const started = await this.engine.recover(canvases.offscreen);
      canvases.show(started);
      Object.assign(this, {
        phase: "ready",
        started,
        step: started.step,
        recoveredAt: started.step,
        chunkSize: 1,
      });
      for (const [method, rows] of Object.entries(this.rows)) {
        this.rows[method] = rows.filter((row) => row.step < this.step);
      }
      this.tell("rows");
      this.tell("state");
    } catch (second) {
      this.broke({ kind: "device", message: second.message });
      throw second;
    }
  }

  /// Begins a training; if the engine rejects the settings, the old one stays as it was.
  start(given, { run = true } = {}) {
    const asked = complete(given, this.usual);
    return this.replace(asked, run, (canvases) => this.engine.start(asked, canvases));
  }

  /// Begins with the weights of a file; its network's shape is its own.
  load(bytes, name, given, { run = true } = {}) {
    const asked = complete(given, this.usual);
    const { levels, filters, activation, ...others } = asked;
    return this.replace(asked, run, (canvases) => this.engine.load(bytes, name, others, canvases));
  }

  /// Waits for its turn to begin; of several that wait, only the newest begins.
  replace(asked, run, call) {
    const own = {};
    this.latest = own;
    return this.exclusive(() => {
      if (this.latest === own) return this.begin(asked, run, call);
      const message = "this start gave way to a newer one";
      throw Object.assign(new Error(message), { kind: "other", superseded: true });
    });
  }

  async begin(asked, run, call) {
    const before = this.phase;
    this.phase = "starting";
    this.tell("state");
    try {
      const canvases = this.makeCanvases();
      const started = await call(canvases.offscreen);
      canvases.show(started);
      this.epoch += 1;
      this.forget();
      for (const method of started.methods) this.rows[method] = [];
      const steps = Number(asked.steps);
      Object.assign(this, {
        started,
        asked,
        wanted: run,
        phase: "ready",
        every: steps >= 1 ? steps : 500,
      });
      this.limit = this.every;
      this.settings = inForce(asked, started);
    } catch (error) {
      // What was there goes on as it was; it tells by itself if its own device is lost.
      this.phase = before;
      if (before === "none" && error.kind === "device") this.broke(error);
      else if (before === "none") this.message = error.message;
      else if (before !== "ready") this.again = error.message;
      this.tell("state");
      throw error;
    }
    this.tell("started");
    this.tell("rows");
    return this.started;
  }

  /// Goes on; at the limit for as many steps again.
  resume() {
    if (this.step >= this.limit) this.limit = this.step + this.every;
    this.wanted = true;
    this.kick();
  }

  /// Resolves when nothing runs any more.
  async pause() {
    this.wanted = false;
    this.tell("state");
    await this.looping;
  }

  /// Exactly `count` steps and then a pause; resolves with the rows of these steps.
  stepBy(count) {
    this.wanted = false;
    return this.exclusive(async () => {
      if (!this.started) {
        throw Object.assign(new Error("there is no training to step: none has started"), {
          kind: "other",
        });
      }
      if (this.phase !== "ready") throw Object.assign(new Error(this.message), { kind: "other" });
      if (this.stopped) throw Object.assign(new Error(this.stopped), { kind: "other" });
      const first = this.step;
      this.stepping = true;
      try {
        while (this.step < first + count && !this.stopped) await this.chunk(first + count);
      } finally {
        this.stepping = false;
      }
      this.limit = Math.max(this.limit, this.step);
      const news = Object.entries(this.rows).map(([method, rows]) => [
        method,
        rows.filter((row) => row.step >= first),
      ]);
      return Object.fromEntries(news);
    });
  }

  /// Once at a time, and only if the device is lost.
  async recover() {
    if (this.phase !== "lost") return;
    this.recovery ??= this.exclusive(async () => {
      if (this.phase === "lost") await this.reopen();
    }).finally(() => (this.recovery = null));
    await this.recovery;
  }

  /// A call of the engine that may run between two chunks, such as predict.
  async ask(name, ...values) {
    const epoch = this.epoch;
    try {
      return await this.engine[name](...values);
    } catch (error) {
      if (error.kind === "device" && epoch === this.epoch && this.phase === "ready") {
        this.exclusive(() => this.failed(error, epoch)).catch(() => {});
      }
      throw error;
    }
  }

  setHidden(hidden) {
    this.hidden = hidden;
    this.kick();
  }
}
