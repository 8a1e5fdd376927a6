// The settings of a training: their names, defaults for each kind of device, and their form in the address.

/// What the page starts with. `steps` is where a run pauses by itself.
const COMMON = {
  amount: "8",
  noise: "0",
  lr: "1e-3",
  activation: "relu",
  seed: "0",
  methods: "sip,gd",
  steps: "500",
  device: "auto",
};
const OF_DEVICE = {
  gpu: { size: "64x64", levels: "4", filters: "16", batch: "32" },
  cpu: { size: "32x32", levels: "3", filters: "8", batch: "8" },
};
/// What links collect on their way and no setting.
const NOT_SETTINGS = /^(run|utm_.*|fbclid|gclid|msclkid)$/;

export const METHODS = ["sip", "gd", "supervised"];
export const METHOD_NAMES = { sip: "SIP", gd: "GD", supervised: "supervised" };

/// The defaults on `device` ("auto", "gpu" or "cpu"), where `usual` is what auto means here.
export function defaults(device, usual) {
  const kind = device === "gpu" || device === "cpu" ? device : usual;
  return { ...COMMON, ...OF_DEVICE[kind], device: device || "auto" };
}

/// `given` with everything that it leaves out.
export function complete(given, usual) {
  const named = withUnderscores(given);
  return { ...defaults(named.device === undefined ? "auto" : String(named.device), usual), ...named };
}

/// One text for every way to write a value: 1e-3 and 0.001, "8,8,8" and 8, ["sip", "gd"] and "sip,gd".
export function plain(value) {
  const parts = Array.isArray(value) ? value : String(value).split(",");
  const texts = parts.map((part) => {
    const text = String(part).trim().toLowerCase();
    return text !== "" && Number.isFinite(Number(text)) ? String(Number(text)) : text;
  });
  const same = texts.every((text) => text === texts[0]);
  return same ? texts[0] : texts.join(",");
}

/// The settings in force: those asked for, as the engine says that it took them.
export function inForce(asked, started) {
  const settings = { ...asked };
  for (const name of Object.keys(settings)) {
    const taken = started.settings?.[name];
    const simple = ["string", "number", "boolean"].includes(typeof taken) || Array.isArray(taken);
    if (name !== "device" && name !== "steps" && simple) settings[name] = taken;
  }
  settings.size = `${started.nx}x${started.ny}`;
  settings.methods = started.methods.join(",");
  for (const name of Object.keys(settings)) {
    settings[name] =
      plain(settings[name]) === plain(asked[name] ?? "") ? String(asked[name]) : shown(settings[name]);
  }
  return settings;
}

/// Only those of `settings` that differ from the defaults.
export function changed(settings, usual) {
  const usualOnes = defaults(settings.device, usual);
  usualOnes.device = "auto";
  const entries = Object.entries(settings);
  return Object.fromEntries(
    entries.filter(([name, value]) => plain(value) !== plain(usualOnes[name] ?? "")),
  );
}

/// The settings that an address asks for.
export function fromQuery(search) {
  const given = {};
  for (const [name, value] of new URLSearchParams(search)) {
    if (!NOT_SETTINGS.test(name)) given[name] = value;
  }
  return withUnderscores(given);
}

/// The address of this page with these settings.
export function address(settings, usual) {
  const pairs = Object.entries(changed(settings, usual));
  const query = pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  const text = query.join("&").replaceAll("%2C", ",");
  return location.origin + location.pathname + (text && "?" + text);
}

/// The command line trains one `method`, this page several.
function known(name) {
  return name === "method" ? "methods" : name;
}

function withUnderscores(given) {
  return Object.fromEntries(
    Object.entries(given ?? {}).map(([name, value]) => [known(name.replaceAll("-", "_")), value]),
  );
}

function shown(value) {
  return Array.isArray(value) || String(value).includes(",") ? plain(value) : String(value);
}
