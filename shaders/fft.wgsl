// Radix-2 FFT of many lines of LENGTH complex numbers along one axis, in place.
//
// Normalisation: forward none; inverse 1/LENGTH, so both axes together give 1/N.
// Output order: unshifted; the bit reversal happens while loading.
//
// A workgroup keeps LINES neighbouring lines in workgroup memory. Line l starts at
// (l / lines_per_block)·block_stride + (l mod lines_per_block)·line_stride; its elements lie element_stride apart.

struct Params {
    lines: u32,
    lines_per_block: u32,
    block_stride: u32,
    line_stride: u32,
    element_stride: u32,
    inverse: u32, // 0 or 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> twiddles: array<real2>; // [LENGTH/2]: exp(-2πi·k/LENGTH)
@group(0) @binding(2) var<storage, read_write> data: array<real2>;

const LENGTH: u32 = 1u << LOG2_LENGTH;

var<workgroup> buffer: array<real2, LENGTH * LINES>;

fn address(line: u32, element: u32) -> u32 {
    let block = line / params.lines_per_block * params.block_stride;
    return block + line % params.lines_per_block * params.line_stride + element * params.element_stride;
}

// Splits i into (line, element) such that neighbouring invocations touch neighbouring memory.
fn place(i: u32) -> vec2<u32> {
    if params.element_stride == 1u {
        return vec2(i / LENGTH, i % LENGTH);
    }
    return vec2(i % LINES, i / LINES);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first_line = workgroup.x * LINES;
    for (var i = local; i < LENGTH * LINES; i += WORKGROUP) {
        let at = place(i);
        let reversed = reverseBits(at.y) >> (32u - LOG2_LENGTH);
        if first_line + at.x < params.lines {
            buffer[at.x * LENGTH + reversed] = data[address(first_line + at.x, at.y)];
        } else {
            buffer[at.x * LENGTH + reversed] = real2(); // a line beyond the last, computed and dropped
        }
    }
    for (var stage = 0u; stage < LOG2_LENGTH; stage++) {
        workgroupBarrier();
        let half_size = 1u << stage;
        for (var i = local; i < LENGTH / 2u * LINES; i += WORKGROUP) {
            let butterfly = i % (LENGTH / 2u);
            let k = butterfly & (half_size - 1u);
            let low = i / (LENGTH / 2u) * LENGTH + 2u * (butterfly - k) + k;
            var twiddle = twiddles[k << (LOG2_LENGTH - 1u - stage)];
            if params.inverse == 1u {
                twiddle = conjugate(twiddle);
            }
            let a = buffer[low];
            let b = multiply(twiddle, buffer[low + half_size]);
            buffer[low] = a + b;
            buffer[low + half_size] = a - b;
        }
    }
    workgroupBarrier();
    let scale = select(real(1.0), 1.0 / real(LENGTH), params.inverse == 1u);
    for (var i = local; i < LENGTH * LINES; i += WORKGROUP) {
        let at = place(i);
        if first_line + at.x < params.lines {
            data[address(first_line + at.x, at.y)] = scale * buffer[at.x * LENGTH + at.y];
        }
    }
}
