// Weights: saves those of every method as a file of the command line, and loads one.
import { line } from "./controls.js";
import { METHOD_NAMES } from "./settings.js";

const byId = (id) => document.getElementById(id);
const MOST = 2 ** 30; // bytes
const TOO_LARGE = "load: this file has more than 1 GiB, and no weights file does";

/// The bytes of a weights file, whatever holds them.
export function bytesOf(given) {
  const isBuffer = Object.prototype.toString.call(given) === "[object ArrayBuffer]";
  if (!isBuffer && !ArrayBuffer.isView(given)) throw usage("load: give the bytes of a weights file");
  if (given.byteLength > MOST) throw usage(TOO_LARGE);
  return isBuffer
    ? new Uint8Array(given)
    : new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
}

function usage(message) {
  return Object.assign(new Error(message), { kind: "usage" });
}

export function weights(session, load) {
  const note = byId("weights-note");

  const save = async (method) => {
    try {
      const bytes = await session.ask("weights", method);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
      link.download = `unheat-${method}.safetensors`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      const size = `${(bytes.length / 1024).toFixed(0)} KiB`;
      note.textContent = `Saved ${link.download}, ${size}, after ${session.step} steps.`;
    } catch (error) {
      note.textContent = `Could not save: ${line(error)}`;
    }
  };

  session.on("state", () => {
    const busy = ["starting", "recovering", "held", "waiting"].includes(session.state);
    byId("load-weights").disabled = busy;
    for (const button of byId("save-buttons").children)
      button.disabled = !["ready", "broken"].includes(session.phase);
  });
  session.on("started", ({ started }) => {
    note.textContent = started.weights
      ? [`Training goes on from ${started.weights}.`, started.remark].filter(Boolean).join(" ")
      : "";
    const buttons = started.methods.map((method) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.textContent = `Save ${METHOD_NAMES[method]}`;
      button.addEventListener("click", () => save(method));
      return button;
    });
    byId("save-buttons").replaceChildren(...buttons);
    // The reports and warnings of the command go by what made the observation.
    const { operator, amount } = started.settings;
    const physics = operator
      ? ` --operator ${operator}`
      : Number(amount) === 8
        ? ""
        : ` --amount ${amount}`;
    byId("command").textContent =
      `unheat reconstruct --weights unheat-${started.methods[0]}.safetensors` +
      `${physics} -i observation.png -o x.png`;
  });

  const file = byId("weights-file");
  byId("load-weights").addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    note.textContent = `Loading ${chosen.name}…`;
    try {
      if (chosen.size > MOST) throw usage(TOO_LARGE);
      await load(bytesOf(await chosen.arrayBuffer()), chosen.name);
    } catch (error) {
      note.textContent = `Could not load ${chosen.name}: ${line(error)}`;
    }
  });
}
