// The worker: it has the WebAssembly, the device and the training, and answers one call after the other, so
// that none ever meets another in the middle.
import init, * as wasm from "./unheat_web.js";

const { Cases, Device, Experiment } = wasm;

const CPU = "CPU engine in WebAssembly (SIMD)";
const KEEP = 5000; // milliseconds between two snapshots, which a lost device costs at most
const FIREFOX = /firefox/i.test(navigator.userAgent);
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render|warp/i;

let found = null; // a promise of what WebGPU would compute with
let gpu = null; // the open WebGPU device, if there is one
let device = null; // what trains
let experiment = null;
let settings = null; // as the page gave them
let kept = null;
let keptAt = 0;

const calls = {
  async open() {
    await init();
    const palette = { colours: wasm.colours(), hottest: wasm.hottest() };
    return { palette, activations: wasm.activations().split(",") };
  },

  async devices() {
    const own = await adapter();
    const known = { webgpu: Boolean(navigator.gpu), gpu: own, cpu: { name: CPU } };
    if (!navigator.gpu) return { ...known, usual: "cpu", why: "This browser has no WebGPU." };
    if (!own) return { ...known, usual: "cpu", why: "This browser finds no GPU that it may use." };
    if (own.software) {
      const why = "Its WebGPU runs on the processor, where the CPU engine is many times faster.";
      return { ...known, usual: "cpu", why };
    }
    return { ...known, usual: "gpu", why: "This browser runs the shaders on a GPU." };
  },

  start: (asked, canvases) => begin(asked, null, null, canvases),

  load: (bytes, name, asked, canvases) => begin(asked, bytes, name, canvases),

  async advance(steps) {
    const news = JSON.parse(await training().advance(steps));
    for (const rows of Object.values(news.rows)) {
      for (const row of rows) for (const name in row) row[name] ??= NaN;
    }
    await experiment.draw();
    if (device.kind === "gpu" && performance.now() > keptAt + KEEP && !news.stopped) await keep();
    return news;
  },

  observe: (field, amount) => training().observe(field, amount),

  rectangles: (number) => training().rectangles(number),

  fade: (field, part) => training().fade(field, part),

  predict: (field) => training().predict(field),

  weights: (method) => training().weights(method),

  async check(quick, tell) {
    const own = await open("gpu");
    const asked = experiment ? JSON.parse(experiment.about()).settings : {};
    const list = new Cases(own.handle, quick, JSON.stringify(asked));
    const lines = [];
    try {
      for (let index = 0; index < list.count(); index += 1) {
        const line = JSON.parse(await list.run(index));
        line.error ??= NaN;
        lines.push(line);
        tell(line, index + 1, list.count());
      }
    } catch (error) {
      if (error.kind === "device" && device !== own) close(own); // what trains on it will hear of it itself
      throw error;
    } finally {
      list.free();
    }
    return lines;
  },

  bench: async () => JSON.parse(await wasm.bench(training())),

  async recover(canvases) {
    close(gpu);
    found = null;
    const again = await open("gpu");
    if (!kept) return begin(settings, null, null, canvases, again);
    return take(again, await Experiment.resume(again.handle, kept, canvases));
  },

  lose: () => device.handle.lose(),
};

/// The training, which may have failed to start.
function training() {
  if (experiment) return experiment;
  throw Object.assign(new Error("nothing trains here yet; start a training first"), { kind: "usage" });
}

/// What WebGPU would compute with, if anything.
function adapter() {
  return (found ??= look()); // browsers tell the console each time that there is none
}

async function look() {
  const own = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!own) return null;
  const { vendor, architecture, device: model, description, isFallbackAdapter } = own.info ?? {};
  const words = [vendor, architecture, model, description].filter(Boolean);
  const name = description || words.join(" ") || "WebGPU adapter";
  const drawn = FIREFOX ? renderer() : "";
  const isNamedSo = SOFTWARE.test([...words, drawn].join(" "));
  const software = Boolean(isFallbackAdapter) || isNamedSo || (FIREFOX && drawn === "");
  // Firefox 153 crashes as a whole where it brings canvases of WebGPU back from the processor by itself.
  // Where it hides what it draws with, against fingerprints, that may be the processor.
  const draws = !FIREFOX || !(software || drawn === "Mozilla");
  return { name, software, draws };
}

/// What WebGL draws with, by name: Firefox says nothing of the kind about WebGPU.
function renderer() {
  const context = new OffscreenCanvas(1, 1).getContext("webgl");
  return context?.getParameter(context.RENDERER) ?? "";
}

/// A device as the page knows it, with the handle that experiments take. WebGPU is opened once.
async function open(kind) {
  if (kind === "cpu") return { kind, name: CPU, software: true, handle: Device.cpu() };
  if (gpu) return gpu;
  const own = await adapter();
  if (!own) {
    const message = "device gpu: this browser has no WebGPU that a page may use; take cpu or auto";
    throw Object.assign(new Error(message), { kind: "usage" });
  }
  const { name, software, draws } = own;
  gpu = { kind, name, software, handle: await Device.gpu(name, software, draws) };
  return gpu;
}

/// Forgets a WebGPU device that is of no use any more.
function close(own) {
  if (own && own === gpu) gpu = null;
}

async function begin(asked, bytes, name, canvases, opened = null) {
  const wanted = String(asked.device ?? "auto");
  if (!["auto", "gpu", "cpu"].includes(wanted)) {
    throw Object.assign(new Error(`device ${wanted}: must be auto, gpu or cpu`), { kind: "usage" });
  }
  const own = opened ?? (await (wanted === "auto" ? usual() : open(wanted)));
  const starting = Experiment.start(own.handle, JSON.stringify(asked), bytes, name, canvases);
  const made = await starting.catch((error) => {
    if (error.kind === "device") close(own); // the next start opens it again
    throw error;
  });
  settings = asked;
  kept?.free();
  kept = null;
  const started = await take(own, made);
  if (own.kind === "gpu") await keep();
  return started;
}

/// What auto means: the CPU engine too where a GPU is there and cannot be opened.
async function usual() {
  const { usual: kind } = await calls.devices();
  try {
    return await open(kind);
  } catch (error) {
    if (kind === "cpu") throw error;
    return { ...(await open("cpu")), why: `The GPU could not be opened: ${error.message}.` };
  }
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
  const what = wasm.last_panic() ?? error.message;
  return { message: `unheat has made a mistake (${what}); reload the page`, kind: "other" };
}

/// Buffers that a value holds, which move to the page instead of being copied.
function buffers(value) {
  if (ArrayBuffer.isView(value)) return [value.buffer];
  if (!value?.predictions) return [];
  return [value.observation, ...Object.values(value.predictions)].map((array) => array.buffer);
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
