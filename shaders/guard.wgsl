// Freezes training once a loss is infinite or not a number, so that the last good weights survive.
// WGSL promises nothing about NaN in arithmetic: the exponent bits are tested instead. One workgroup.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> losses: array<u32>; // the bits of [3, batch] floats
@group(0) @binding(2) var<storage, read_write> frozen: array<u32>; // [1], stays 1 once set

var<workgroup> bad: atomic<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
    if local == 0u {
        atomicStore(&bad, 0u);
    }
    workgroupBarrier();
    for (var i = local; i < params.count; i += WORKGROUP) {
        if (losses[i] & 0x7f800000u) == 0x7f800000u {
            atomicOr(&bad, 1u);
        }
    }
    workgroupBarrier();
    if local == 0u && atomicLoad(&bad) == 1u {
        frozen[0] = 1u;
    }
}
