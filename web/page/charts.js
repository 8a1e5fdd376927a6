// The two charts of losses against steps, drawn by uPlot, with legends of their own that show the current
// values.
import { METHOD_NAMES } from "./settings.js";

const DASHES = { sip: [], gd: [9, 4], supervised: [2, 3] };
const uPlot = window.uPlot;

/// A number as people read it: four digits at most.
export function readable(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(2);
  return value.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4);
}

export class Charts {
  constructor() {
    this.charts = [
      new Chart(document.getElementById("chart-x"), "x loss", "x_l2_mean"),
      new Chart(document.getElementById("chart-y"), "y loss", "y_l2_mean"),
    ];
    this.rows = {};
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.build(this.methods ?? []));
  }

  build(methods) {
    this.methods = methods;
    for (const chart of this.charts) chart.build(methods, this.rows);
  }

  /// Shows these rows with the next picture of the screen.
  update(rows) {
    this.rows = rows;
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      for (const chart of this.charts) chart.update(this.rows);
    });
  }
}

class Chart {
  constructor(place, name, column) {
    Object.assign(this, { name, column, plot: null });
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    this.place = document.createElement("div");
    this.place.className = "plot";
    this.place.setAttribute("role", "img");
    this.place.setAttribute(
      "aria-label",
      `${name} against the step, on a logarithmic axis; the list has its values`,
    );
    place.append(this.legend, this.place);
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.place);
  }

  size() {
    const width = Math.max(this.place.clientWidth, 200);
    return { width, height: Math.round(Math.max(190, Math.min(0.35 * width, 340))) };
  }

  build(methods, rows) {
    this.methods = methods;
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = {
      stroke: colour("text"),
      font,
      labelFont: font,
      labelSize: 18,
      labelGap: 0,
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { stroke: colour("line"), width: 1, size: 5 },
    };
    const lines = methods.map((name) => ({
      label: METHOD_NAMES[name] ?? name,
      stroke: colour(name) || colour("text"),
      width: 2,
      dash: DASHES[name],
      points: { show: false },
    }));
    const options = {
      ...this.size(),
      legend: { show: false },
      series: [{}, ...lines],
      padding: [8, 12, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: false, range: (_, low, high) => [0, Math.max(high ?? 0, 10)] },
        y: { distr: 3, range: (_, low, high) => decades(low, high) },
      },
      axes: [
        {
          ...axis,
          label: "step",
          size: 28,
          incrs: [1, 2, 5, 10, 20, 50]
            .flatMap((n) => [n, 100 * n, 1e4 * n, 1e6 * n])
            .sort((a, b) => a - b),
        },
        {
          ...axis,
          label: this.name,
          size: 50,
          values: (_, ticks) => ticks.map(power),
          grid: { ...axis.grid, filter: (_, ticks) => ticks.map((tick) => (power(tick) ? tick : null)) },
        },
      ],
      hooks: { setCursor: [() => this.tell()] },
    };
    this.plot = new uPlot(options, this.table(rows), this.place);
    this.legend.replaceChildren(
      ...methods.map((name) => this.entry(name, colour(name) || colour("text"))),
    );
    this.tell();
  }

  entry(name, colour) {
    const element = document.createElement("li");
    const dash = (DASHES[name] ?? []).join(" ");
    element.innerHTML =
      `<svg viewBox="0 0 35 10" aria-hidden="true"><path d="M0 5H35" stroke-width="3"></path></svg>` +
      `<span class="name"></span> <span class="value"></span>`;
    const path = element.querySelector("path");
    path.setAttribute("stroke", colour);
    if (dash) path.setAttribute("stroke-dasharray", dash);
    element.querySelector(".name").textContent = METHOD_NAMES[name] ?? name;
    return element;
  }

  table(rows) {
    const columns = this.methods.map((name) => rows[name] ?? []);
    const longest = columns.reduce((a, b) => (b.length > a.length ? b : a), []);
    // A logarithmic axis has no place for what is not positive.
    const value = (row) =>
      row[this.column] > 0 && row[this.column] < Infinity ? row[this.column] : null;
    // A method that has stopped has fewer rows than the others.
    const aligned = (column) => {
      let next = 0;
      return longest.map(({ step }) => {
        while (next < column.length && column[next].step < step) next += 1;
        return column[next]?.step === step ? value(column[next]) : null;
      });
    };
    return [longest.map((row) => row.step), ...columns.map(aligned)];
  }

  update(rows) {
    if (!this.plot) return;
    this.plot.setData(this.table(rows));
    this.tell();
  }

  /// The values under the cursor, or else the last ones.
  tell() {
    if (!this.plot || this.legend.children.length !== this.methods.length) return;
    const [steps, ...columns] = this.plot.data;
    const index = this.plot.cursor.idx ?? steps.length - 1;
    columns.forEach((column, i) => {
      this.legend.children[i].querySelector(".value").textContent = readable(column[index] ?? null);
    });
  }
}

/// The powers of ten around what is to be shown.
function decades(low, high) {
  if (!(low > 0) || !(high > 0)) return [1, 1000];
  const [from, to] = [Math.floor(Math.log10(low) + 1e-9), Math.ceil(Math.log10(high) - 1e-9)];
  return [10 ** from, 10 ** Math.max(to, from + 1)];
}

function power(tick) {
  if (tick === null) return "";
  const exponent = Math.round(Math.log10(tick));
  if (Math.abs(Math.log10(tick) - exponent) > 1e-6) return "";
  return exponent >= -3 && exponent <= 4
    ? String(Number((10 ** exponent).toPrecision(3)))
    : `1e${exponent}`;
}
