// Wires everything: opens the engine, makes the parts of the page, and begins the first training.
import { publish } from "./api.js";
import { Charts } from "./charts.js";
import { checks } from "./check.js";
import { Form, fillDevices, line, showDevice, trainingControls } from "./controls.js";
import { Drawing } from "./draw.js";
import { Engine } from "./engine.js";
import { makeCanvases, paintScale } from "./fields.js";
import { Session } from "./session.js";
import { changed, complete, fromQuery } from "./settings.js";
import { weights } from "./weights.js";

const byId = (id) => document.getElementById(id);

async function open() {
  if (!HTMLCanvasElement.prototype.transferControlToOffscreen)
    throw new Error("it cannot draw from a worker.");
  const engine = await Engine.open();
  return { engine, devices: await engine.devices() };
}

/// Everything that needs the engine; nothing trains yet.
function build({ engine, devices }) {
  const session = new Session(engine, devices.usual, () => makeCanvases(byId("fields")));
  byId("no-webgpu").hidden = devices.webgpu !== false;
  byId("no-adapter").hidden = devices.webgpu !== true || devices.gpu !== null;
  byId("not-secure").hidden = window.isSecureContext;
  paintScale(byId("scale"), engine.palette);
  byId("hottest").textContent = `${engine.palette.hottest} and above`;

  // A start by the page or by a script; what the engine says against it stands beside the form.
  const guarded = async (begin) => {
    form.complain("");
    try {
      return await begin();
    } catch (error) {
      const told = error.superseded || (session.state === "lost" && session.message === error.message);
      if (!told) form.complain(line(error));
      throw error;
    }
  };
  const start = (settings, options) => guarded(() => session.start(settings, options));
  const overrides = () => changed(session.settings ?? form.read(), devices.usual);
  const load = (bytes, name, options) => guarded(() => session.load(bytes, name, overrides(), options));
  const restart = (more = {}) =>
    start({ ...overrides(), ...more }).catch(() => {
      byId("device-now").value = session.settings?.device ?? "auto";
    });

  const form = new Form(devices, { activation: engine.activations }, (settings) =>
    start(settings).then(
      () => true,
      () => false,
    ),
  );
  fillDevices(devices);
  form.offer(complete(fromQuery(location.search), devices.usual));
  const charts = new Charts();
  charts.build([]);
  trainingControls(session, restart);
  new Drawing(session);
  weights(session, load);
  const { check, bench } = checks(session, devices);
  byId("device-now").addEventListener("change", (event) => restart({ device: event.target.value }));

  session.on("started", () => {
    form.fill(session.settings);
    showDevice(session.started, session.settings, devices);
    charts.build(session.started.methods);
  });
  session.on("rows", () => charts.update(session.rows));
  window.pageStarts();
  return { session, start, load, check, bench, form };
}

const parts = open().then(build);
const ready = parts.then(
  async ({ session, start, form }) => {
    const given = fromQuery(location.search);
    const run = new URLSearchParams(location.search).get("run") !== "off";
    try {
      await start(given, { run });
    } catch {
      byId("device-name").textContent = "none yet";
    }
    return { device: session.started?.device ?? null };
  },
  (error) => {
    window.cannotStart(line(error));
    return { device: null };
  },
);
publish(parts, ready);
