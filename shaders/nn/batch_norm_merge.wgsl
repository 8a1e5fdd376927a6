// Batch norm: merges the moments that the convolution left by Chan's formula in a fixed tree (method §5), and
// hands them to conclude() (batch_norm/). One workgroup per channel.

@group(0) @binding(1) var<storage, read> moments: array<f32>; // [channels, chunks, 3]

const ABREAST = 4u; // chunks whose loads are in flight at once

var<workgroup> shared_moments: array<vec3<f32>, WORKGROUP>;

// Count, mean and m2 of two sets together.
fn merge(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    if b.x == 0.0 {
        return a;
    }
    let count = a.x + b.x;
    let delta = b.y - a.y;
    let weight = b.x / count;
    return vec3(count, a.y + delta * weight, a.z + b.z + delta * delta * a.x * weight);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let channel = workgroup.x;
    var own = vec3(0.0);
    for (var start = local; start < params.chunks; start += ABREAST * WORKGROUP) {
        var abreast: array<vec3<f32>, ABREAST>;
        for (var k = 0u; k < ABREAST; k++) {
            let chunk = start + k * WORKGROUP;
            let at = (channel * params.chunks + min(chunk, params.chunks - 1u)) * 3u;
            let found = vec3(moments[at], moments[at + 1u], moments[at + 2u]);
            abreast[k] = select(vec3(0.0), found, chunk < params.chunks);
        }
        for (var k = 0u; k < ABREAST; k++) {
            own = merge(own, abreast[k]);
        }
    }
    shared_moments[local] = own;
    for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if local < width {
            shared_moments[local] = merge(shared_moments[local], shared_moments[local + width]);
        }
    }
    if local == 0u {
        conclude(channel, shared_moments[0]);
    }
}
