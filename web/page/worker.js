// The worker: it has the WebAssembly, the device and the training, and answers one call after the other, so
// that none ever meets another in the middle.
import init, { Cases, Device, Experiment, bench, colours, last_panic } from "./unheat_web.js";

const CPU = "CPU engine in WebAssembly (SIMD)";
const KEEP = 5000; // milliseconds between two snapshots, which a lost device costs at most
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render|warp/i;

let device = null; // what trains
let checked = null; // what is checked where the CPU engine trains
let experiment = null;
let settings = null; // as the page gave them
let kept = null;
let keptAt = 0;

const calls = {
  async open() {
    await init();
    return colours();
  },

  async devices() {
    const gpu = await adapter();
    const cpu = { name: CPU };
    if (!navigator.gpu) return { gpu, cpu, usual: "cpu", why: "This browser has no WebGPU." };
    if (!gpu) return { gpu, cpu, usual: "cpu", why: "This browser finds no GPU that it may use." };
    if (gpu.software) {
      const why = "Its WebGPU runs on the processor, where the CPU engine is many times faster.";
      return { gpu, cpu, usual: "cpu", why };
    }
    return { gpu, cpu, usual: "gpu", why: "This browser runs the shaders on a GPU." };
  },

  start: (asked, canvases) => begin(asked, null, null, canvases),

  load: (bytes, name, asked, canvases) => begin(asked, bytes, name, canvases),

  async advance(steps) {
    const found = JSON.parse(await experiment.advance(steps));
    for (const rows of Object.values(found.rows)) {
      for (const row of rows) for (const name in row) row[name] ??= NaN;
    }
    experiment.draw();
    if (device.kind === "gpu" && performance.now() > keptAt + KEEP && !found.stopped) await keep();
    return found;
  },

  observe: (field, amount) => experiment.observe(field, amount),

  predict: (field) => experiment.predict(field),

  weights: (method) => experiment.weights(method),

  async check(quick, tell) {
    const own = device?.kind === "gpu" ? device : (checked ??= await open("gpu"));
    const list = new Cases(own.handle, quick, JSON.stringify(settings ?? {}));
    const lines = [];
    try {
      for (let index = 0; index < list.count(); index += 1) {
        const line = JSON.parse(await list.run(index));
        line.error ??= NaN;
        lines.push(line);
        tell(line, index + 1, list.count());
      }
    } finally {
      list.free();
    }
    return lines;
  },

  bench: async () => JSON.parse(await bench(experiment)),

  async recover(canvases) {
    const again = await open("gpu");
    if (!kept) return begin(settings, null, null, canvases, again);
    return take(again, await Experiment.resume(again.handle, kept, canvases));
  },

  lose: () => device.handle.lose(),
};

/// What WebGPU would compute with, if anything.
async function adapter() {
  const found = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!found) return null;
  const { vendor, architecture, device: model, description, isFallbackAdapter } = found.info ?? {};
  const words = [vendor, architecture, model, description].filter(Boolean);
  const name = description || words.join(" ") || "WebGPU adapter";
  const software = Boolean(isFallbackAdapter) || SOFTWARE.test(words.join(" "));
  return { name, software };
}

/// A device as the page knows it, with the handle that experiments take.
async function open(kind) {
  if (kind === "cpu") return { kind, name: CPU, software: true, handle: Device.cpu() };
  const found = await adapter();
  if (!found) {
    const message = "device gpu: this browser has no WebGPU that a page may use; take cpu or auto";
    throw Object.assign(new Error(message), { kind: "usage" });
  }
  return { kind, ...found, handle: await Device.gpu(found.name, found.software) };
}

async function begin(asked, bytes, name, canvases, opened = null) {
  const wanted = String(asked.device ?? "auto");
  if (!["auto", "gpu", "cpu"].includes(wanted)) {
    throw Object.assign(new Error(`device ${wanted}: must be auto, gpu or cpu`), { kind: "usage" });
  }
  const kind = wanted === "auto" ? (await calls.devices()).usual : wanted;
  const own = opened ?? (device?.kind === kind ? device : await open(kind));
  const made = await Experiment.start(own.handle, JSON.stringify(asked), bytes, name, canvases);
  settings = asked;
  kept?.free();
  kept = null;
  const started = await take(own, made);
  if (own.kind === "gpu") await keep();
  return started;
}

/// Puts a new experiment in the place of the old one.
async function take(own, made) {
  experiment?.free();
  experiment = made;
  device = own;
  const { handle, ...shown } = own;
  return { ...JSON.parse(made.about()), device: shown };
}

async function keep() {
  const fresh = await experiment.keep();
  kept?.free();
  kept = fresh;
  keptAt = performance.now();
}

/// An error as a message can carry it.
function told(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) {
    return { message: error?.message ?? String(error), kind: error?.kind ?? "other" };
  }
  const what = last_panic() ?? error.message;
  return { message: `unheat has made a mistake (${what}); reload the page`, kind: "other" };
}

/// Buffers that a value holds, which move to the page instead of being copied.
function buffers(value) {
  if (ArrayBuffer.isView(value)) return [value.buffer];
  if (value?.predictions) return [value.observation, ...Object.values(value.predictions)].map((a) => a.buffer);
  return [];
}

let last = Promise.resolve();
self.addEventListener("message", ({ data: { id, name, values } }) => {
  const answer = async () => {
    try {
      const tell = (...progress) => self.postMessage({ id, progress });
      const value = await calls[name](...values, tell);
      self.postMessage({ id, value }, buffers(value));
    } catch (error) {
      self.postMessage({ id, error: told(error) });
    }
  };
  last = last.then(answer);
});
