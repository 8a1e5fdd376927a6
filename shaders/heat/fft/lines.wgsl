//! needs lib/complex

// What fft.wgsl and diffuse.wgsl share: lines of LENGTH complex numbers along one axis, in workgroup memory.
//
// A kernel is this file, one that defines `load`, one that defines `store`, and its own. `load` and `store`
// see complex fields [fields, nx, ny] whatever the arrays behind them are, so that no pass only moves
// numbers.

struct Params {
    fields: u32, // complex ones
    batch: u32, // real ones, two to a complex field
    nx: u32,
    ny: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> twiddles: array<real2>; // [LENGTH]: exp(-2πi·k/LENGTH)

const LENGTH: u32 = 1u << LOG2_LENGTH;
// Odd, so that neither neighbouring lines nor neighbouring elements lie in the same memory bank.
const PITCH: u32 = LINES | 1u;

var<workgroup> lines: array<real2, LENGTH * PITCH>; // [LENGTH, PITCH]

// A place in the complex fields.
struct Cell {
    field: u32,
    x: u32,
    y: u32,
}

fn index(at: Cell) -> u32 {
    return (at.field * params.nx + at.x) * params.ny + at.y;
}

fn cell(line: u32, element: u32) -> Cell {
    if ALONG_X == 1u {
        return Cell(line / params.ny, element, line % params.ny);
    }
    return Cell(line / params.nx, line % params.nx, element);
}

// Splits i into (line, element) such that neighbouring invocations touch neighbouring memory.
fn split(i: u32) -> vec2<u32> {
    if ALONG_X == 1u {
        return vec2(i % LINES, i / LINES);
    }
    return vec2(i / LENGTH, i % LENGTH);
}

fn slot(line: u32, element: u32) -> u32 {
    return element * PITCH + line;
}

fn reversed(element: u32) -> u32 {
    return reverseBits(element) >> (32u - LOG2_LENGTH);
}

fn line_count() -> u32 {
    return params.fields * params.nx * params.ny / LENGTH;
}

// The inverse is the forward transform between two swaps of real and imaginary part.
fn swapped(value: real2, inverse: bool) -> real2 {
    return select(value, value.yx, inverse);
}

// Loads LINES neighbouring lines in the order that `transform` expects. A line beyond the last is computed,
// of what the last is, and dropped: without a branch, and in rounds that compilers can count (LENGTH·LINES is
// a multiple of WORKGROUP), the loads of all rounds are in flight at once.
fn gather(first_line: u32, local: u32, inverse: bool) {
    for (var start = 0u; start < LENGTH * LINES; start += WORKGROUP) {
        let at = split(start + local);
        let value = load(cell(min(first_line + at.x, line_count() - 1u), at.y));
        lines[slot(at.x, reversed(at.y))] = swapped(value, inverse);
    }
}

// Stores the lines; the inverse with the factor 1/LENGTH, so that both axes together give 1/N.
fn scatter(first_line: u32, local: u32, inverse: bool) {
    workgroupBarrier();
    let scale = select(real(1.0), 1.0 / real(LENGTH), inverse);
    for (var start = 0u; start < LENGTH * LINES; start += WORKGROUP) {
        let at = split(start + local);
        if first_line + at.x < line_count() {
            store(cell(first_line + at.x, at.y), scale * swapped(lines[slot(at.x, at.y)], inverse));
        }
    }
}

// Forward transform of every line, from bit-reversed to natural order, without a factor. Radix 4 multiplies,
// and so rounds, less often than radix 2 and waits half as often; an odd power of two starts with one stage
// of radix 2.
fn transform(local: u32) {
    var size = 1u; // of the transforms done so far
    if LOG2_LENGTH % 2u == 1u {
        workgroupBarrier();
        for (var i = local; i < LENGTH / 2u * LINES; i += WORKGROUP) {
            let at = slot(i % LINES, 2u * (i / LINES));
            let a = lines[at];
            let b = lines[at + PITCH];
            lines[at] = a + b;
            lines[at + PITCH] = a - b;
        }
        size = 2u;
    }
    for (; size < LENGTH; size *= 4u) {
        workgroupBarrier();
        for (var i = local; i < LENGTH / 4u * LINES; i += WORKGROUP) {
            let butterfly = i / LINES;
            let k = butterfly % size;
            let at = slot(i % LINES, 4u * (butterfly - k) + k);
            let step = size * PITCH;
            let turn = LENGTH / (4u * size) * k; // 1/LENGTH of a full circle
            let a = lines[at];
            let b = multiply(twiddles[2u * turn], lines[at + step]);
            let c = multiply(twiddles[turn], lines[at + 2u * step]);
            let d = multiply(twiddles[3u * turn], lines[at + 3u * step]);
            let difference = real2(c.y - d.y, d.x - c.x); // -i·(c - d)
            lines[at] = (a + b) + (c + d);
            lines[at + step] = (a - b) + difference;
            lines[at + 2u * step] = (a + b) - (c + d);
            lines[at + 3u * step] = (a - b) - difference;
        }
    }
}
