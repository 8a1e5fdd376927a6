// Asks Tint, the WGSL compiler of Chrome, for its opinion of each file that is named: on Dawn's null back end,
// which needs no GPU. One line per file, with tabs between: ok or FAIL, milliseconds of processor time, the file,
// what Tint complains about.
// NODE_PATH names the folder that holds the npm package webgpu.
'use strict';
const { readFileSync } = require('node:fs');

async function main(files) {
  const { create, globals } = await import(require.resolve('webgpu'));
  Object.assign(globalThis, globals);
  // Kept to the end: what is collected as garbage takes Dawn's instance along, and the device crashes.
  globalThis.gpu = create(['backend=null']);
  const adapter = await gpu.requestAdapter();
  const features = ['subgroups', 'shader-f16'];
  const missing = features.filter((feature) => !adapter.features.has(feature));
  if (missing.length > 0) throw new Error(`Dawn's null back end has no ${missing}`);
  const device = await adapter.requestDevice({ requiredFeatures: features });
  let refused = 0;
  for (const file of files) {
    const before = process.cpuUsage();
    const complaints = await judge(device, readFileSync(file, 'utf8'));
    const { user, system } = process.cpuUsage(before);
    if (complaints.length > 0) refused += 1;
    const verdict = complaints.length > 0 ? 'FAIL' : 'ok';
    console.log([verdict, Math.round((user + system) / 1e3), file, complaints.join('; ').replace(/\s+/g, ' ')].join('\t'));
  }
  return refused;
}

async function judge(device, code) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter(({ type }) => type === 'error');
  const complaints = errors.map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
  if (complaints.length === 0) {
    device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  }
  const error = await device.popErrorScope();
  if (error && complaints.length === 0) complaints.push(error.message);
  return complaints;
}

main(process.argv.slice(2)).then(
  (refused) => process.exit(refused > 0 ? 1 : 0),
  (error) => {
    console.error(`tint: ${error.message}`);
    process.exit(2);
  },
);
