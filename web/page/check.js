// "Is this GPU right?" and "How fast?": both run alone on the device, while the training waits.
import { copy, line } from "./controls.js";

const byId = (id) => document.getElementById(id);

/// Failures first, then by how much of its tolerance a case uses, skipped ones last.
function worstFirst(cases) {
  const share = ({ error, tolerance }) =>
    Number.isNaN(error / tolerance) ? Infinity : error / tolerance;
  const rank = (one) => (one.skipped ? 2 : one.ok ? 1 : 0);
  return [...cases].sort((a, b) => rank(a) - rank(b) || share(b) - share(a));
}

const verdict = (one) => (one.skipped ? `skipped: ${one.skipped}` : one.ok ? "right" : "WRONG");
const exponential = (value) => (typeof value === "number" ? value.toExponential(2) : (value ?? ""));
const text = (value) => (Array.isArray(value) ? value.join("×") : String(value ?? ""));

function row(one) {
  const skipped = Boolean(one.skipped);
  return [
    one.name,
    text(one.shape),
    skipped ? "" : exponential(one.error),
    exponential(one.tolerance),
    verdict(one),
  ];
}

const BUSY = ["starting", "recovering", "waiting"];
const COLUMNS = ["name", "shape", "error", "tolerance", "verdict"];

/// Fills `place` with a table; numbers stand to the right.
function showTable(place, columns, rows, numeric, caption, tone = () => "") {
  const table = document.createElement("table");
  const said = Object.assign(table.createCaption(), { className: "hidden", textContent: caption });
  const head = table.createTHead().insertRow();
  const alignment = (i) => (numeric(i) ? "number" : "");
  columns.forEach((column, i) => {
    head.append(
      Object.assign(document.createElement("th"), {
        scope: "col",
        textContent: column,
        className: alignment(i),
      }),
    );
  });
  const body = table.createTBody();
  for (const values of rows) {
    const line = body.insertRow();
    values.forEach((value, i) => {
      const cell = line.insertCell();
      cell.textContent = value;
      cell.className = alignment(i) || tone(i, value);
    });
  }
  table.prepend(said);
  place.replaceChildren(table);
  Object.assign(place, { hidden: false, tabIndex: 0 });
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", caption);
}

export function summary(cases) {
  const skipped = cases.filter((one) => one.skipped).length;
  const wrong = cases.filter((one) => !one.skipped && !one.ok).length;
  const right = cases.length - skipped - wrong;
  const rest = skipped ? `, ${skipped} skipped` : "";
  return wrong
    ? `${wrong} of ${cases.length} cases ${wrong === 1 ? "is" : "are"} wrong, ${right} right${rest}.`
    : `${right} cases are right${rest}.`;
}

/// Plain text for an issue: browser, device, date, table.
function report(cases, device) {
  const rows = [COLUMNS, ...worstFirst(cases).map(row)];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((values) => values[i].length)));
  const lines = rows.map((values) =>
    values
      .map((value, i) => value.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
  const about = [
    "unheat: Is this GPU right?",
    `browser: ${navigator.userAgent}`,
    `device: ${device}`,
    `date: ${new Date().toISOString()}`,
    `result: ${summary(cases)}`,
  ];
  return [...about, "", ...lines, ""].join("\n");
}

/// The functions that run the two, for buttons and for scripts.
export function checks(session, devices) {
  const buttons = [byId("check-quick"), byId("check-all"), byId("bench-run")];
  const [progress, said] = [byId("check-bar"), byId("check-text")];
  const deviceName = () => devices.gpu?.name ?? session.started?.device.name ?? devices.cpu.name;
  let last = [];
  let running = 0;
  const enable = () => {
    for (const button of buttons)
      button.disabled = !devices.gpu || running > 0 || BUSY.includes(session.state);
    if (!session.started) byId("bench-run").disabled = true;
  };
  byId("check-why").hidden = byId("bench-why").hidden = Boolean(devices.gpu);
  session.on("state", enable);

  const alone = async (job, why) => {
    running += 1;
    enable();
    try {
      return await session.exclusive(job, why);
    } finally {
      running -= 1;
      enable();
    }
  };

  const check = ({ quick = true } = {}) =>
    alone(async () => {
      Object.assign(progress, { hidden: false, value: 0 });
      said.textContent = "The check begins…";
      byId("check-copy").hidden = true;
      byId("check-table").hidden = true;
      let shownAt = 0;
      try {
        last = await session.engine.check({ quick }, (one, done, of) => {
          progress.value = of > 0 ? done / of : 0;
          if (performance.now() - shownAt < 1000 && done < of) return;
          shownAt = performance.now();
          said.textContent = `${done} of ${of} cases done.`;
        });
        said.textContent = `${deviceName()}: ${summary(last)}`;
        const tone = (i, value) =>
          i !== 4 ? "" : value === "right" ? "good" : value === "WRONG" ? "bad" : "quiet";
        showTable(
          byId("check-table"),
          COLUMNS,
          worstFirst(last).map(row),
          (i) => i === 2 || i === 3,
          "Cases, worst first",
          tone,
        );
        byId("check-copy").hidden = false;
        return last;
      } catch (error) {
        said.textContent = `The check could not run: ${line(error)}`;
        throw error;
      } finally {
        progress.hidden = true;
      }
    }, "the check runs");

  const bench = () =>
    alone(async () => {
      const place = byId("bench-text");
      place.textContent = "Measuring…";
      try {
        const result = await session.engine.bench((news) => (place.textContent = text(news)));
        place.textContent = result.note ?? "";
        const numeric = (i) => result.rows.every((values) => /^[-+\d.]/.test(String(values[i])));
        if (result.rows.length) {
          showTable(byId("bench-table"), result.columns, result.rows, numeric, "Times of this device");
        } else {
          byId("bench-table").hidden = true;
        }
        return result;
      } catch (error) {
        place.textContent = `The measurement could not run: ${line(error)}`;
        throw error;
      }
    }, "the device is timed");

  byId("check-quick").addEventListener("click", () => check({ quick: true }).catch(() => {}));
  byId("check-all").addEventListener("click", () => check({ quick: false }).catch(() => {}));
  byId("bench-run").addEventListener("click", () => bench().catch(() => {}));
  const button = byId("check-copy");
  button.addEventListener("click", async () => {
    const words = button.textContent;
    await copy(report(last, deviceName())).then(
      () => (button.textContent = "Copied"),
      (error) => (said.textContent = line(error)),
    );
    setTimeout(() => (button.textContent = words), 3000);
  });
  return { check, bench };
}
