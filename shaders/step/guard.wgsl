//! needs lib/grid

// Takes over what a micro-batch has left: blends its statistics into the running ones (method §5), and
// freezes training once a loss, a gradient or a statistic is infinite or not a number, so that the last good
// weights survive. WGSL promises nothing about NaN in arithmetic: the exponent bits are tested instead, those
// of what goes into the blend too. One invocation per number of the longest array; whichever finds a bad one
// writes the same 1.

struct Params {
    losses: u32, // numbers in each array
    x_l2: u32,
    gradients: u32,
    statistics: u32,
    momentum: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> losses: array<u32>; // the bits of floats, as in the next three
@group(0) @binding(2) var<storage, read> x_l2: array<u32>;
@group(0) @binding(3) var<storage, read> gradients: array<u32>;
@group(0) @binding(4) var<storage, read> statistics: array<u32>; // of the micro-batch
@group(0) @binding(5) var<storage, read_write> running: array<f32>; // those of all before it
// [1], stays 1 once set, unless the host clears it
@group(0) @binding(6) var<storage, read_write> frozen: array<atomic<u32>>;

fn check(bits: u32) {
    if (bits & 0x7f800000u) == 0x7f800000u {
        atomicStore(&frozen[0], 1u);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = flat_index(workgroup, workgroups, local, WORKGROUP);
    if i < params.losses {
        check(losses[i]);
    }
    if i < params.x_l2 {
        check(x_l2[i]);
    }
    if i < params.gradients {
        check(gradients[i]);
    }
    if i < params.statistics {
        check(statistics[i]);
        let blended = running[i] + params.momentum * (bitcast<f32>(statistics[i]) - running[i]);
        check(bitcast<u32>(blended));
        running[i] = blended;
    }
}
