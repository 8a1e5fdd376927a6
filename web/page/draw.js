// "Draw heat": a field painted by pointer or keyboard, or read from a picture, and what the methods make
// of it.
import { readable } from "./charts.js";
import { line } from "./controls.js";
import { figure, offScale, paint, shape } from "./fields.js";
import { METHOD_NAMES } from "./settings.js";

const byId = (id) => document.getElementById(id);
const SEEN = "what is observed: y*";
const PAUSE = 150; // milliseconds between two predictions
const DURATION = 1500; // milliseconds that the diffusion is watched for
const BEGINNER = 20; // steps below which a network has only just begun

export class Drawing {
  constructor(session) {
    this.session = session;
    this.palette = session.engine.palette;
    byId("brush-heat").max = this.palette.hottest;
    this.canvas = byId("pad-canvas");
    this.nx = 0;
    this.ny = 0;
    this.cursor = null; // [x, y], a row and a column
    this.answers = {};
    this.seen = false;
    this.last = -Infinity;
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      if (this.seen && this.stale) this.ask();
    }).observe(byId("draw"));
    session.on("started", () => this.fit());
    session.on("rows", () => {
      this.warnBeginner();
      this.ask();
    });
    session.on("state", () => {
      this.enable();
      if (this.stale) this.ask();
    });
    this.listen();
  }

  /// Rectangles as those of training, others every time.
  async random() {
    const number = Math.trunc(Math.random() * 2 ** 32);
    const [nx, ny] = [this.nx, this.ny];
    try {
      const field = await this.session.ask("rectangles", number);
      if (nx === this.nx && ny === this.ny) this.replace(field);
    } catch (error) {
      this.problem(line(error));
    }
  }

  /// Takes the grid of a new training; the drawing stays, on the new grid.
  fit() {
    const { nx, ny, methods, settings } = this.session.started;
    this.seenName = SEEN + offScale(this.session.started);
    byId("draw-noise").hidden = !(Number(settings.noise) > 0);
    this.problem("");
    if (nx !== this.nx || ny !== this.ny) {
      const [field, oldNx, oldNy] = [this.field, this.nx, this.ny];
      Object.assign(this, { nx, ny });
      this.field = field
        ? Float32Array.from({ length: nx * ny }, (_, i) => {
            const [x, y] = [Math.floor(i / ny), i % ny];
            return field[Math.floor((x * oldNx) / nx) * oldNy + Math.floor((y * oldNy) / ny)];
          })
        : new Float32Array(nx * ny);
      if (!field) this.random();
      if (this.cursor) this.cursor = [nx >> 1, ny >> 1];
      byId("brush-size").max = Math.max(8, Math.min(nx, ny) >> 1);
      shape(byId("pad"), nx, ny);
      this.showSliders();
    }
    const names = ["observation", ...methods];
    this.answers = Object.fromEntries(names.map((name) => [name, document.createElement("canvas")]));
    byId("answers").replaceChildren(
      ...names.map((name) =>
        figure(
          this.answers[name],
          `${name === "observation" ? this.seenName : METHOD_NAMES[name]} (waiting)`,
          name === "observation"
            ? "Your field after diffusion"
            : `What ${METHOD_NAMES[name]} predicts from it`,
        ),
      ),
    );
    for (const canvas of Object.values(this.answers)) {
      shape(canvas, nx, ny);
      canvas.parentElement.className = "waiting";
    }
    this.changed();
  }

  /// After every change of the field.
  changed() {
    paint(this.canvas, this.field, this.nx, this.ny, this.palette);
    this.ask();
  }

  get free() {
    const { session } = this;
    return session.phase === "ready" && !session.why && !this.watching && this.field;
  }

  /// Asks for the predictions, at most every PAUSE milliseconds and one at a time.
  ask() {
    this.stale = true;
    if (this.timer || this.asking || !this.seen || !this.free) return;
    const wait = Math.max(0, this.last + PAUSE - performance.now());
    this.timer = setTimeout(async () => {
      this.timer = null;
      if (!this.free) return;
      Object.assign(this, { stale: false, asking: true });
      await this.predict();
      Object.assign(this, { asking: false, last: performance.now() });
      if (this.stale) this.ask();
    }, wait);
  }

  async predict() {
    const { nx, ny, session } = this;
    const field = this.field.slice();
    try {
      const { observation, predictions } = await session.ask("predict", field.slice());
      if (nx !== this.nx || ny !== this.ny || this.watching) return;
      this.show("observation", observation);
      this.caption("observation", this.seenName);
      this.answered();
      for (const [method, prediction] of Object.entries(predictions)) {
        if (!this.answers[method]) continue;
        this.show(method, prediction);
        const loss = 0.5 * prediction.reduce((sum, value, i) => sum + (field[i] - value) ** 2, 0);
        this.caption(method, `${METHOD_NAMES[method]}: x loss ${readable(loss)}`);
      }
      this.warnBeginner();
    } catch (error) {
      if (session.phase === "ready") this.problem(`No prediction: ${line(error)}`, true);
    }
  }

  /// What needs a training, where there is none or it is busy.
  enable() {
    const none = !this.field;
    for (const id of ["draw-clear", "draw-random", "draw-picture"]) byId(id).disabled = none;
    const { phase, why, waits } = this.session;
    byId("draw-watch").disabled =
      none || Boolean(this.watching) || phase !== "ready" || Boolean(why) || waits > 0;
  }

  /// Says what has gone wrong, until something else is done; `passing` if the next answer settles it.
  problem(text, passing = false) {
    this.passing = passing;
    if (byId("draw-error").textContent !== text) byId("draw-error").textContent = text;
  }

  answered() {
    if (this.passing) this.problem("");
  }

  warnBeginner() {
    const { step } = this.session;
    const steps = `${step} ${step === 1 ? "step" : "steps"}`;
    this.note(
      step < BEGINNER
        ? `The network has only just begun to learn (${steps}), so expect little of it.`
        : "",
    );
  }

  show(name, field) {
    paint(this.answers[name], field, this.nx, this.ny, this.palette);
    this.answers[name].parentElement.className = "";
  }

  caption(name, text) {
    this.answers[name].parentElement.firstChild.textContent = text;
  }

  note(text) {
    if (byId("draw-note").textContent !== text) byId("draw-note").textContent = text;
  }

  get brush() {
    return { radius: Number(byId("brush-size").value) / 2, heat: Number(byId("brush-heat").value) };
  }

  /// Paints one touch of the brush around row x and column y; its rim is a cell wide.
  dab(x, y) {
    const { radius, heat } = this.brush;
    const reach = Math.ceil(radius + 0.5);
    for (
      let i = Math.max(0, Math.floor(x) - reach);
      i <= Math.min(this.nx - 1, Math.floor(x) + reach);
      i += 1
    ) {
      for (
        let j = Math.max(0, Math.floor(y) - reach);
        j <= Math.min(this.ny - 1, Math.floor(y) + reach);
        j += 1
      ) {
        const cover = Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(i + 0.5 - x, j + 0.5 - y)));
        const cell = i * this.ny + j;
        const now = this.field[cell];
        if (cover > 0)
          this.field[cell] = heat > now ? Math.max(now, cover * heat) : now + cover * (heat - now);
      }
    }
  }

  stroke([x0, y0], [x1, y1]) {
    const pieces = Math.max(
      1,
      Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(0.5, this.brush.radius / 2)),
    );
    for (let i = 1; i <= pieces; i += 1)
      this.dab(x0 + ((x1 - x0) * i) / pieces, y0 + ((y1 - y0) * i) / pieces);
  }

  listen() {
    const { canvas } = this;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        ((event.clientY - box.top) / box.height) * this.nx,
        ((event.clientX - box.left) / box.width) * this.ny,
      ];
    };
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.field || event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      from = place(event);
      this.problem("");
      this.showBrush(from);
      this.dab(...from);
      this.changed();
    });
    canvas.addEventListener("pointermove", (event) => {
      this.showBrush(place(event));
      if (!from || !this.field) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const part of events.length ? events : [event]) {
        const to = place(part);
        this.stroke(from, to);
        from = to;
      }
      this.changed();
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (from = null));
    canvas.addEventListener("pointerleave", () => this.showBrush());
    canvas.addEventListener("focus", () => {
      if (!canvas.matches(":focus-visible")) return;
      this.cursor ??= [this.nx >> 1, this.ny >> 1];
      this.showBrush();
    });
    canvas.addEventListener("blur", () => {
      this.cursor = null;
      this.showBrush();
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const id of ["brush-size", "brush-heat"])
      byId(id).addEventListener("input", () => this.showSliders());
    this.showSliders();
    byId("draw-clear").addEventListener("click", () => this.replace(new Float32Array(this.nx * this.ny)));
    byId("draw-random").addEventListener("click", () => this.random());
    byId("draw-picture").addEventListener("click", () => byId("draw-file").click());
    byId("draw-file").addEventListener("change", () => this.picture());
    byId("draw-watch").addEventListener("click", () => this.watch());
  }

  replace(field) {
    if (!this.field) return;
    this.problem("");
    this.field = field;
    this.changed();
  }

  showSliders() {
    const { radius, heat } = this.brush;
    byId("brush-size-value").textContent = `${2 * radius} ${radius === 0.5 ? "cell" : "cells"}`;
    byId("brush-heat-value").textContent = heat.toFixed(2);
    this.showBrush();
  }

  key(event) {
    if (!this.field || event.ctrlKey || event.altKey || event.metaKey) return;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const far = event.shiftKey ? 4 : 1;
    this.cursor ??= [this.nx >> 1, this.ny >> 1];
    let [x, y] = this.cursor;
    if (moves[event.key]) {
      x = Math.max(0, Math.min(this.nx - 1, x + far * moves[event.key][0]));
      y = Math.max(0, Math.min(this.ny - 1, y + far * moves[event.key][1]));
    } else if (event.key === "Home") {
      [x, y] = [this.nx >> 1, this.ny >> 1];
    } else if (event.key === " " || event.key === "Enter") {
      this.problem("");
      this.dab(x + 0.5, y + 0.5);
      this.changed();
    } else {
      return;
    }
    event.preventDefault();
    this.cursor = [x, y];
    byId("place").textContent =
      `row ${x + 1}, column ${y + 1}: ${this.field[x * this.ny + y].toFixed(2)}`;
    this.showBrush();
  }

  /// The ring that shows the brush: under the pointer, else at the cursor of the keyboard.
  showBrush(at) {
    const ring = byId("brush");
    const centre = at ?? (this.cursor && this.cursor.map((value) => value + 0.5));
    ring.hidden = !centre;
    if (!this.cursor) byId("place").textContent = "";
    if (!centre) return;
    const part = (value, of) => `${(100 * value) / of}%`;
    const wide = 2 * this.brush.radius;
    Object.assign(ring.style, {
      top: part(centre[0], this.nx),
      left: part(centre[1], this.ny),
      height: part(wide, this.nx),
      width: part(wide, this.ny),
    });
  }

  /// A picture, grey and cut to the middle, as temperatures from 0 to 1.
  async picture() {
    const [file] = byId("draw-file").files;
    byId("draw-file").value = "";
    if (!file || !this.field) return;
    const { nx, ny } = this;
    try {
      const bitmap = await createImageBitmap(file);
      const scale = Math.max(ny / bitmap.width, nx / bitmap.height);
      const [width, height] = [bitmap.width * scale, bitmap.height * scale];
      const canvas = new OffscreenCanvas(ny, nx);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.imageSmoothingQuality = "high";
      context.fillRect(0, 0, ny, nx);
      context.drawImage(bitmap, (ny - width) / 2, (nx - height) / 2, width, height);
      const { data } = context.getImageData(0, 0, ny, nx);
      this.replace(
        Float32Array.from(
          { length: nx * ny },
          (_, i) => (0.2126 * data[4 * i] + 0.7152 * data[4 * i + 1] + 0.0722 * data[4 * i + 2]) / 255,
        ),
      );
    } catch {
      this.problem(`${file.name}: this browser cannot read it as a picture.`);
    }
  }

  /// Shows the observation grow blurry, from no diffusion to all of it, and then the predictions.
  async watch() {
    const { session } = this;
    if (!this.free || !this.answers.observation) return;
    this.problem("");
    this.watching = true;
    this.enable();
    for (const [name, canvas] of Object.entries(this.answers)) {
      if (name === "observation") continue;
      canvas.parentElement.className = "waiting";
      this.caption(name, `${METHOD_NAMES[name]} (waiting)`);
    }
    const { nx, ny } = this;
    const { started } = session;
    const amount = heatAmount(started.settings);
    const frame = async (time) => {
      // A width grows by the square root of the amount.
      const part = amount === null ? time : time * time;
      const field = await session.ask("fade", this.field.slice(), part);
      if (started !== session.started) return;
      this.show("observation", field);
      this.caption("observation", caption(part, amount) + offScale(started));
    };
    const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
    try {
      await session.exclusive(async () => {
        await frame(0);
        if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
          await wait(DURATION);
        } else {
          const start = performance.now();
          for (let part = 0; part < 1;) {
            await wait(16);
            part = Math.min(1, (performance.now() - start) / DURATION);
            await frame(part);
          }
        }
        await frame(1);
        await wait(400);
      }, "the diffusion is being watched");
    } catch (error) {
      // After a new start or a lost device the next answers come by themselves.
      if (session.phase === "ready" && started === session.started)
        this.problem(`The diffusion cannot be shown: ${line(error)}`);
    }
    this.watching = false;
    this.enable();
    if (started === session.started) this.caption("observation", this.seenName);
    this.ask();
  }
}

/// The amount of a diffusion, as a text, or null where the observer does something else or more.
function heatAmount({ operator, amount }) {
  if (!operator) return String(amount);
  return /^heat:([^+]+)$/.exec(operator)?.[1] ?? null;
}

/// What is seen of a field behind a part of what the observer does.
function caption(part, amount) {
  const percent = `${Math.round(100 * part)} %`;
  if (amount === null) return `${percent} of the way from the truth to the observation`;
  const cells = Number(amount);
  return Number.isFinite(cells)
    ? `after ${(cells * part).toFixed(1)} cells² of diffusion`
    : `after ${percent} of the diffusion`;
}
