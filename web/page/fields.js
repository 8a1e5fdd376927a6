// The canvases of the fields: those that the worker draws (truth, observation, predictions), and painting
// one here.
import { METHODS, METHOD_NAMES } from "./settings.js";

const CAPTIONS = { truth: "truth x*", observation: "observation y*", ...METHOD_NAMES };
const SAID = {
  truth: "Truth: the fields before diffusion",
  observation: "Observation: the fields after diffusion, which the network sees",
  sip: "What the network trained by SIP predicts",
  gd: "What the network trained by GD predicts",
  supervised: "What the supervised network predicts",
};

/// New canvases for a start, which show themselves in `place` only once it has succeeded.
export function makeCanvases(place) {
  const names = ["truth", "observation", ...METHODS];
  const elements = Object.fromEntries(names.map((name) => [name, document.createElement("canvas")]));
  const offscreen = {};
  for (const name of names) offscreen[name] = elements[name].transferControlToOffscreen();
  const show = (started) => {
    const figures = ["truth", "observation", ...started.methods].map((name) => {
      shape(elements[name], started.nx, started.shown * started.ny);
      const other = name === "observation" ? offScale(started) : "";
      return figure(elements[name], CAPTIONS[name] + other, SAID[name] + other);
    });
    place.classList.toggle("tall", started.nx > 2 * started.shown * started.ny);
    place.replaceChildren(...figures);
  };
  return { offscreen, show };
}

/// Lets the style sheet give `element` the proportions of so many rows and columns, and a height that fits.
export function shape(element, rows, columns) {
  element.style.setProperty("--ratio", columns / rows);
}

/// What is to be said of an observation that is no temperature.
export function offScale(started) {
  const other = /poisson|helmholtz/.test(started.settings.operator ?? "");
  return other ? " (no temperature: its values are not on this scale)" : "";
}

/// A canvas under a caption, with a name for those who cannot see it.
export function figure(canvas, caption, said) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", said);
  const element = document.createElement("figure");
  const line = document.createElement("figcaption");
  line.textContent = caption;
  element.append(line, canvas);
  return element;
}

/// Paints a field of nx rows and ny columns, a pixel a cell.
export function paint(canvas, field, nx, ny, { colours, hottest }) {
  if (canvas.width !== ny || canvas.height !== nx) Object.assign(canvas, { width: ny, height: nx });
  shape(canvas, nx, ny);
  const image = new ImageData(ny, nx);
  for (let cell = 0; cell < field.length; cell += 1) {
    const heat = Math.max(0, Math.min(255, Math.round((field[cell] / hottest) * 255))) || 0; // 0 for NaN
    for (let part = 0; part < 3; part += 1) image.data[4 * cell + part] = colours[3 * heat + part];
    image.data[4 * cell + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/// The colour bar.
export function paintScale(canvas, palette) {
  const ramp = Float32Array.from({ length: 256 }, (_, heat) => heat / 255);
  paint(canvas, ramp, 1, 256, { ...palette, hottest: 1 });
}
