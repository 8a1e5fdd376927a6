// What the tests do in the page, with nothing but window.unheat, and what they tell the test of it.

const said = window.saidOnTheConsole;

const send = (report) =>
  fetch("/report", { method: "POST", body: JSON.stringify({ ...report, console: said }) });

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/// A drawn field: a hot block and a warm one.
function drawn(nx, ny) {
  const field = new Float32Array(nx * ny);
  for (let x = 0; x < nx; x += 1) {
    for (let y = 0; y < ny; y += 1) {
      if (x >= 6 && x < 14 && y >= 5 && y < 17) field[x * ny + y] = 1;
      if (x >= 18 && x < 26 && y >= 20 && y < 28) field[x * ny + y] += 0.5;
    }
  }
  return field;
}

/// What the canvases show, by caption: width, height, and red, green and blue of every pixel.
async function pictures() {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  for (let count = 0; count < 3; count += 1) await frame(); // what the worker draws comes with one
  const shown = {};
  for (const figure of document.querySelectorAll("#fields figure")) {
    const canvas = figure.querySelector("canvas");
    const { width, height } = canvas;
    const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const pixels = Array.from(data).filter((_, at) => at % 4 !== 3);
    shown[figure.querySelector("figcaption").textContent] = { width, height, pixels };
  }
  return shown;
}

const jobs = {
  /// Trains, predicts, and hands over the weights.
  async train({ steps }) {
    const { unheat } = window;
    await unheat.ready;
    const { device } = unheat;
    const begun = performance.now();
    const rows = await unheat.step(steps);
    const seconds = (performance.now() - begun) / 1000;
    const shown = await pictures();
    const [nx, ny] = unheat.settings.size.split("x").map(Number);
    const field = drawn(nx, ny);
    const { observation, predictions } = await unheat.predict(field);
    const weights = {};
    for (const method of Object.keys(rows)) weights[method] = hex(await unheat.weights(method));
    const plain = Object.entries(predictions).map(([method, values]) => [method, Array.from(values)]);
    return {
      device,
      settings: unheat.settings,
      seconds,
      losses: unheat.losses(),
      shown,
      field: Array.from(field),
      observation: Array.from(observation),
      predictions: Object.fromEntries(plain),
      weights,
    };
  },

  /// The same training by the CPU engine.
  async cpu({ steps }) {
    await window.unheat.ready;
    await window.unheat.start({ ...window.unheat.settings, device: "cpu" });
    return jobs.train({ steps });
  },

  /// The quick check.
  async check() {
    await window.unheat.ready;
    const begun = performance.now();
    const cases = await window.unheat.check({ quick: true });
    return { cases, seconds: (performance.now() - begun) / 1000 };
  },

  /// Every case.
  async everything() {
    await window.unheat.ready;
    return { cases: await window.unheat.check({ quick: false }) };
  },

  /// The times of kernels.
  async bench() {
    await window.unheat.ready;
    return window.unheat.bench();
  },

  /// Trains, loses the device, and trains on.
  async lose({ steps }) {
    const { unheat } = window;
    await unheat.ready;
    await unheat.step(steps);
    await unheat.lose();
    await unheat.step(steps);
    return { losses: unheat.losses(), device: unheat.device };
  },

  /// Losses that explode: where each method ends, and with which weights, stepped many at a time and one.
  async explode() {
    const { unheat } = window;
    await unheat.ready;
    const wish = { size: "8x8", levels: 2, filters: 8, batch: 1, lr: 1e8, seed: 0, device: "cpu" };
    const ends = [];
    for (const chunk of [64, 1]) {
      await unheat.start(wish);
      let why = "none";
      try {
        for (let done = 0; done < 64; done += chunk) await unheat.step(chunk);
        await unheat.step(1);
      } catch (error) {
        why = error.message;
      }
      const rows = Object.entries(unheat.losses()).map(([method, list]) => [method, list.length]);
      const weights = [hex(await unheat.weights("sip")), hex(await unheat.weights("gd"))];
      ends.push({ why, rows: Object.fromEntries(rows), weights });
    }
    return ends;
  },

  /// Milliseconds per step and method: of the page, and of a bare loop without curves and canvases.
  async speed({ steps, settings }) {
    const { unheat } = window;
    await unheat.ready;
    const timed = async (advance) => {
      await advance(3); // compiles
      const begun = performance.now();
      await advance(steps);
      return (performance.now() - begun) / steps / 2;
    };
    const { Engine } = await import("./engine.js");
    const found = {};
    for (const device of ["gpu", "cpu"]) {
      await unheat.start({ ...settings, device });
      const page = await timed((count) => unheat.step(count));
      const engine = await Engine.open();
      await engine.start({ ...settings, device }, {});
      const bare = await timed((count) => engine.advance({ steps: count }));
      engine.worker.terminate();
      found[device] = { page, bare };
    }
    return found;
  },

  /// Begins with the weights of a training before.
  async reload({ steps }) {
    const { unheat } = window;
    await unheat.ready;
    await unheat.step(steps);
    const before = await unheat.weights("sip");
    const { observation, predictions } = await unheat.predict(drawn(32, 32));
    const started = await unheat.load(before, "mine.safetensors");
    const after = await unheat.predict(drawn(32, 32));
    const differ = (a, b) => a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at])), 0);
    return {
      weights: started.weights,
      settings: started.settings,
      difference: Math.max(
        differ(observation, after.observation),
        differ(predictions.sip, after.predictions.sip),
      ),
    };
  },

  /// What impossible wishes are answered with.
  async refusals({ wishes }) {
    const { unheat } = window;
    await unheat.ready;
    const answers = [];
    for (const wish of wishes) {
      answers.push(await unheat.start(wish).then(
        () => "taken",
        (error) => `${error.kind ?? "none"}: ${error.message}`,
      ));
    }
    const still = await unheat.step(1);
    return { answers, steps: Object.values(still).map((rows) => rows.length) };
  },
};

const asked = JSON.parse(window.askedJobs);
const report = {};
try {
  for (const [name, values] of asked) report[name] = await jobs[name](values);
  await send({ report });
} catch (error) {
  await send({ report, failed: `${error.message} (${error.stack})` });
}
