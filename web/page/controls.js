// The controls of a training: buttons and status line, the choice of the device, the settings form and
// its link.
import { METHODS, METHOD_NAMES, address, changed, complete, defaults, plain } from "./settings.js";

const byId = (id) => document.getElementById(id);
const PATIENCE = 5000; // milliseconds of a recovery before the page offers something else

/// Name, label, unit, and a word of explanation.
const ENTRIES = [
  [
    "amount",
    "Amount",
    "cells²",
    "Of diffusion: diffusivity times time. More blurs the observation more. From 0 on.",
  ],
  [
    "noise",
    "Noise",
    "σ, temperature",
    "Standard deviation of what is added to every cell of the observation. From 0 on.",
  ],
  [
    "size",
    "Size",
    "cells",
    "Rows times columns of the fields, such as 64x64 or 32x128: powers of two from 8 to 2048.",
  ],
  ["batch", "Batch", "samples", "How many fields every step learns from: 1 to 65535."],
  ["lr", "Learning rate", "per step", "How far Adam moves the weights in a step."],
  [
    "levels",
    "Levels",
    "",
    "Resolutions of the U-Net, 1 to 6. Each one halves the grid and sees twice as far.",
  ],
  [
    "filters",
    "Filters",
    "channels",
    "Channels of every layer, a multiple of 8 from 8 to 1024; more learn more and take longer.",
  ],
  [
    "activation",
    "Activation",
    "",
    "The nonlinearity after each convolution.",
  ],
  ["seed", "Seed", "", "The random numbers: the same seed gives the same weights and data."],
  ["steps", "Steps", "steps", "Where the run ends; “Go on” adds as many again."],
];

export function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = Object.assign(document.createElement("textarea"), { value: text, className: "hidden" });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done ? Promise.resolve() : Promise.reject(new Error("this browser does not let the page copy"));
}

/// A line for an error, and never an empty one.
export function line(error) {
  return String(error?.message || error || "unknown error");
}

/// Shows `text` in an alert, or hides it if there is none.
export function alertIn(element, text) {
  element.hidden = !text;
  element.textContent = text || "";
}

/// The first sentence of a message, or 120 characters of it.
function brief(text) {
  const sentence = /^.*?[.!?;](?=\s|$)/s.exec(text)?.[0] ?? text;
  const short = sentence.length > 120 ? `${sentence.slice(0, 119).trimEnd()}…` : sentence;
  return short.replace(/[.;]$/, "");
}

/// "12 ms per step and method".
function pace(seconds) {
  if (!(seconds > 0)) return "";
  const milliseconds = 1000 * seconds;
  if (milliseconds >= 1000) return `, ${seconds.toFixed(seconds < 10 ? 2 : 1)} s per step and method`;
  return `, ${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms per step and method`;
}

function statusText(session) {
  const steps = (count) => `${count} ${count === 1 ? "step" : "steps"}`;
  const at = `step ${session.step} of ${session.limit}${pace(session.secondsPerStep)}`;
  switch (session.state) {
    case "none":
      if (!session.message) return "Nothing is training.";
      return `Nothing is training: ${brief(session.message)}. Change the settings below and start.`;
    case "starting":
      return "Starting: the network is being prepared for the device.";
    case "running":
      return `Training: ${at}.`;
    case "waiting":
      return `Waiting for the step that is being computed… (${at})`;
    case "pausing":
      return `Pausing… (${at})`;
    case "paused":
      return `Paused: ${at}.`;
    case "hidden":
      return `Waiting because this tab is hidden: ${at}.`;
    case "held":
      return `Waiting while ${session.why}: ${at}.`;
    case "finished":
      return (
        `Done: ${steps(session.step)}${pace(session.secondsPerStep)}. “Go on” adds ` +
        `${steps(session.every)}.`
      );
    case "stopped":
      return `Stopped at step ${session.step}: ${session.stopped}`;
    case "recovering":
      return "The device was lost. The page reopens it and goes on from its last snapshot.";
    default:
      return `Stopped at step ${session.step}.`;
  }
}

/// The buttons above the charts, the status line, and what to do when a device is lost.
export function trainingControls(session, restart) {
  const [go, step, again] = [byId("go"), byId("step"), byId("again")];
  const [status, live, trouble] = [byId("status"), byId("live"), byId("trouble")];
  const note = byId("status-note");
  let said = { state: "", at: -Infinity };

  const speak = () => {
    const now = performance.now();
    const state = session.state;
    const news = state !== said.state || (state === "running" && now - said.at > 30000);
    if (!news || now - said.at < 5000) return;
    said = { state, at: now };
    live.textContent = statusText(session);
  };
  setInterval(speak, 1000);

  let since = null; // when the recovery that runs has begun
  const showTrouble = () => {
    const state = session.state;
    const slow = state === "recovering" && performance.now() - since > PATIENCE;
    const lost = state === "lost" || state === "broken";
    const what = state === "lost" ? "The device is lost" : "The training broke off";
    const again = session.again && ` Starting again did not help: ${session.again}`;
    const told = lost ? `${what}: ${session.message}${again}` : "";
    const words = slow ? "The device has not come back so far." : told;
    if (byId("trouble-text").textContent !== words) byId("trouble-text").textContent = words;
    trouble.hidden = !words;
    byId("recover").hidden = state !== "lost" || !session.started;
    byId("trouble-again").hidden = slow;
    byId("trouble-cpu").disabled = session.waits > 0;
    byId("trouble-cpu").textContent =
      slow && session.waits > 0 ? "The CPU engine starts next…" : "Use the CPU engine";
  };

  session.on("state", () => {
    const state = session.state;
    const waits = ["starting", "recovering", "held", "waiting"].includes(state);
    const busy = waits || ["none", "lost", "broken"].includes(state);
    const text = statusText(session);
    if (status.textContent !== text) status.textContent = text;
    const runs = session.wanted && !["finished", "stopped"].includes(state);
    const label = runs ? "Pause" : "Go on";
    if (go.textContent !== label) go.textContent = label;
    go.disabled = busy || state === "stopped";
    step.disabled = busy || state === "stopped";
    again.disabled = waits || state === "none";
    byId("apply").disabled = waits;
    for (const select of document.querySelectorAll("select[data-device]")) select.disabled = waits;
    const remark = session.note && session.note !== session.stopped ? session.note : "";
    if (note.textContent !== remark) note.textContent = remark;
    note.hidden = !remark;
    if (state !== "recovering") since = null;
    else if (since === null) {
      since = performance.now();
      setTimeout(showTrouble, PATIENCE + 100);
    }
    showTrouble();
  });

  go.addEventListener("click", () => (go.textContent === "Pause" ? session.pause() : session.resume()));
  step.addEventListener("click", () => session.stepBy(1).catch(() => {}));
  again.addEventListener("click", () => restart());
  byId("recover").addEventListener("click", () => session.recover().catch(() => {}));
  byId("trouble-again").addEventListener("click", () => restart());
  byId("trouble-cpu").addEventListener("click", () => restart({ device: "cpu" }));

  const background = byId("background");
  const look = () => session.setHidden(document.hidden && !background.checked);
  document.addEventListener("visibilitychange", look);
  background.addEventListener("change", look);
  look();
}

/// The choices of a device, in the two places where one is chosen.
export function fillDevices(devices) {
  const choices = [
    ["auto", `auto (${devices.usual === "gpu" ? "GPU" : "CPU engine"})`],
    ["gpu", devices.gpu ? "GPU" : "GPU (no WebGPU here)"],
    ["cpu", "CPU engine"],
  ];
  for (const select of document.querySelectorAll("select[data-device]")) {
    const options = choices.map(([value, text]) => new Option(text, value));
    options[1].disabled = !devices.gpu;
    select.replaceChildren(...options);
  }
}

/// Which device trains, and why.
export function showDevice(started, settings, devices) {
  const { kind, name, software, why: told } = started.device;
  const loaded = started.weights ? ` Weights from ${started.weights}.` : "";
  const numbers = ` ${started.parameters.toLocaleString("en")} parameters per network.${loaded}`;
  byId("device-now").value = settings.device;
  byId("device-name").textContent = software && kind === "gpu" ? `${name} (software)` : name;
  const auto = settings.device === "auto";
  const why = told ?? (auto ? devices.why : "This device was asked for.");
  byId("device-why").textContent = why + numbers;
}

export class Form {
  /// `choices` are those of settings that have some, by name.
  constructor(devices, choices, start) {
    this.devices = devices;
    this.form = byId("form");
    this.error = byId("form-error");
    this.settings = complete({}, devices.usual); // those in force, once a training has begun
    this.offered = this.settings; // what "Undo changes" goes back to
    this.base = null; // what unsaved edits are told from: what was shown last, or asked for by the form
    byId("form-fields").append(
      ...ENTRIES.map((one) => entry(one, choices[one[0]])),
      methodBoxes(),
      deviceEntry(),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(start);
    });
    this.form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.write(this.offered);
      this.remember();
      this.complain("");
    });
    let before = "auto";
    const device = byId("set-device");
    device.addEventListener("change", () => {
      // What still is a default of the old device becomes that of the new one.
      const [old, now] = [defaults(before, devices.usual), defaults(device.value, devices.usual)];
      const values = this.read();
      for (const name of Object.keys(now)) {
        if (name !== "device" && plain(values[name]) === plain(old[name])) values[name] = now[name];
      }
      this.write(values);
      before = device.value;
    });
    this.remember = () => (before = device.value);
    byId("copy-link").addEventListener("click", async () => {
      const link = address(this.settings, devices.usual);
      const note = byId("copied");
      await copy(link).then(
        () => (note.textContent = "Copied."),
        () => (note.textContent = link),
      );
      setTimeout(() => (note.textContent = note.textContent === "Copied." ? "" : note.textContent), 4000);
    });
  }

  async submit(start) {
    const values = this.read();
    const empty = ENTRIES.find(([name]) => values[name] === "");
    if (empty) return this.complain(`${empty[1]} is empty`, empty[0]);
    if (!values.methods) return this.complain("choose at least one method", METHODS[0]);
    const before = this.base;
    this.base = values;
    if (!(await start(values))) this.base = before;
  }

  /// Shows settings that are not in force, such as those that an address asked for in vain.
  offer(settings) {
    this.offered = settings;
    this.write(settings);
    this.remember();
    this.base = this.read();
  }

  /// Shows the settings in force and puts them into the address; what somebody has changed in the form since
  /// stays there.
  fill(settings) {
    const values = this.base && this.read();
    const edited = Object.keys(values ?? {}).filter(
      (name) => plain(values[name]) !== plain(this.base[name] ?? ""),
    );
    this.settings = settings;
    this.offered = settings;
    this.write(settings);
    this.remember();
    this.base = this.read();
    if (edited.length) {
      this.write({ ...this.base, ...Object.fromEntries(edited.map((name) => [name, values[name]])) });
      this.remember();
    }
    const off = new URLSearchParams(location.search).get("run") === "off" ? "run=off" : "";
    const link = address(settings, this.devices.usual);
    const joint = off && (link.includes("?") ? "&" : "?");
    history.replaceState(null, "", link + joint + off + location.hash);
  }

  write(settings) {
    for (const [name] of ENTRIES) byId(`set-${name}`).value = settings[name];
    byId("set-device").value = settings.device;
    const methods = plain(settings.methods).split(",");
    for (const method of METHODS) byId(`set-${method}`).checked = methods.includes(method);
  }

  /// What the form asks for, with the settings in force that it has no place for.
  read() {
    const values = { ...changed(this.settings, this.devices.usual) };
    for (const [name] of ENTRIES) values[name] = byId(`set-${name}`).value.trim();
    values.device = byId("set-device").value;
    values.methods = METHODS.filter((method) => byId(`set-${method}`).checked).join(",");
    return values;
  }

  /// Says what is wrong, at the setting `at`, or the one whose name the message begins with.
  complain(message, at = null) {
    alertIn(this.error, message);
    for (const input of this.form.querySelectorAll("[aria-invalid]"))
      input.removeAttribute("aria-invalid");
    const name = at ?? /^-*([a-z_-]+)/.exec(message ?? "")?.[1].replaceAll("-", "_");
    const input = name && byId(`set-${name}`);
    if (!input || !("value" in input)) return;
    input.setAttribute("aria-invalid", "true");
    if (this.form.contains(document.activeElement)) input.focus();
  }
}

function entry([name, label, unit, words], choices) {
  const element = document.createElement("div");
  element.innerHTML =
    `<label class="label" for="set-${name}">${label}</label><div class="entry"></div>` +
    `<small id="about-${name}">${words}</small>`;
  const input = document.createElement(choices ? "select" : "input");
  if (choices) input.append(...choices.map((choice) => new Option(choice, choice)));
  else Object.assign(input, { inputMode: name === "size" ? "text" : "decimal", spellcheck: false });
  Object.assign(input, { id: `set-${name}`, name });
  input.setAttribute("aria-describedby", `${unit ? `unit-${name} ` : ""}about-${name}`);
  element.querySelector(".entry").append(input);
  if (unit) {
    const text = Object.assign(document.createElement("span"), {
      id: `unit-${name}`,
      className: "quiet",
    });
    text.textContent = unit;
    element.querySelector(".entry").append(text);
  }
  return element;
}

function methodBoxes() {
  const element = document.createElement("fieldset");
  const boxes = METHODS.map(
    (method) => `<label><input id="set-${method}" type="checkbox"> ` + `${METHOD_NAMES[method]}</label>`,
  );
  element.innerHTML =
    `<legend>Methods</legend><div class="entry boxes">${boxes.join("")}</div>` +
    "<small>Each one trains a network of its own, on the same data.</small>";
  return element;
}

function deviceEntry() {
  const element = document.createElement("div");
  element.innerHTML =
    `<label class="label" for="set-device">Device</label>` +
    `<div class="entry"><select id="set-device" name="device" data-device aria-describedby="about-device">` +
    `</select></div><small id="about-device">The GPU through WebGPU, or the processor.</small>`;
  return element;
}
