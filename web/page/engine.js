// The engine as the page sees it: calls to the worker, which computes. A call resolves with its value or
// rejects with an Error of one line and a `kind`: "usage", "device", "memory" or "other".

export class Engine {
  /// Starts the worker and loads the WebAssembly.
  static async open() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const engine = new Engine(worker);
    try {
      Object.assign(engine, await engine.call("open")); // palette: { colours, hottest }; activations
    } catch (error) {
      worker.terminate();
      throw error;
    }
    return engine;
  }

  constructor(worker) {
    this.worker = worker;
    this.calls = new Map();
    this.next = 0;
    worker.addEventListener("message", ({ data }) => this.hear(data));
    for (const kind of ["error", "messageerror"]) {
      worker.addEventListener(kind, (event) => {
        event.preventDefault();
        this.giveUp(event.message || "its worker does not start or has ended; reload the page");
      });
    }
  }

  /// No answer will come any more.
  giveUp(message) {
    for (const { reject } of this.calls.values()) {
      reject(Object.assign(new Error(message), { kind: "other" }));
    }
    this.calls.clear();
  }

  hear({ id, progress, value, error }) {
    const call = this.calls.get(id);
    if (!call) return;
    if (progress) return call.progress?.(...progress);
    this.calls.delete(id);
    if (error) call.reject(Object.assign(new Error(error.message), { kind: error.kind }));
    else call.resolve(value);
  }

  /// `transfer` are buffers and canvases that move to the worker, `progress` hears of news before the answer.
  call(name, values = [], { transfer = [], progress } = {}) {
    const id = this.next;
    this.next += 1;
    return new Promise((resolve, reject) => {
      this.worker.postMessage({ id, name, values }, transfer); // throws where values are too large
      this.calls.set(id, { resolve, reject, progress });
    });
  }

  /// What there is to compute with, and what "auto" means here.
  devices() {
    return this.call("devices");
  }

  /// Begins a training whose fields appear on `canvases`, which move to the worker.
  start(settings, canvases) {
    return this.call("start", [settings, canvases], { transfer: Object.values(canvases) });
  }

  /// As start, from the weights in a file, which have levels, filters and activation of their own.
  load(bytes, name, settings, canvases) {
    return this.call("load", [bytes, name, settings, canvases], { transfer: Object.values(canvases) });
  }

  /// Trains every method for some steps, and draws what they have come to.
  advance({ steps }) {
    return this.call("advance", [steps]);
  }

  /// A field behind `amount` of diffusion.
  observe(field, amount) {
    return this.call("observe", [field, amount]);
  }

  /// A field of random rectangles as those of training; another one for every number.
  rectangles(number) {
    return this.call("rectangles", [number]);
  }

  /// A field behind the part 0 to 1 of what the observer does.
  fade(field, part) {
    return this.call("fade", [field, part]);
  }

  /// What the observer sees of a field, and what every method makes of that.
  predict(field) {
    return this.call("predict", [field]);
  }

  /// The bytes of a method's weights.safetensors.
  weights(method) {
    return this.call("weights", [method]);
  }

  /// Compares the device with the CPU engine; `onCase(line, done, of)` hears of every case.
  check({ quick = true } = {}, onCase) {
    return this.call("check", [quick], { progress: onCase });
  }

  /// The times of every kernel, where the browser lets a page read them.
  bench() {
    return this.call("bench");
  }

  /// After an error of the kind "device": opens the device again and goes on from the last snapshot.
  recover(canvases) {
    return this.call("recover", [canvases], { transfer: Object.values(canvases) });
  }

  /// Loses the device, for tests.
  lose() {
    return this.call("lose");
  }
}
