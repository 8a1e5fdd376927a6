// Batch norm: merges the moments that the convolution left by Chan's formula in a fixed tree, makes the
// channel's normalisation, and says what the batch adds to the running statistics (method §5). One workgroup
// per channel.

struct Params {
    chunks: u32,
    gamma_offset: u32,
    beta_offset: u32,
    bias_offset: u32, // of the convolution: z is stored without it, the running mean includes it
    mean_offset: u32,
    var_offset: u32,
    epsilon: f32,
    first_norm: u32,
    pivot_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> moments: array<f32>; // [channels, chunks, 3]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // the flat parameters
// [all channels, 2], the first: mean, rstd, scale, shift
@group(0) @binding(3) var<storage, read_write> norms: array<vec4<f32>>;
// the flat statistics: means with the bias, unbiased variances
@group(0) @binding(4) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(5) var<storage, read> packed: array<f32>; // the weights with their pivots

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
        let all = shared_moments[0];
        let rstd = 1.0 / sqrt(all.z / all.x + params.epsilon);
        let scale = weights[params.gamma_offset + channel] * rstd;
        let shift = weights[params.beta_offset + channel];
        norms[2u * (params.first_norm + channel)] = vec4(all.y, rstd, scale, shift);

        var mean = all.y;
        if PIVOTED {
            mean += packed[params.pivot_offset + channel]; // z is stored without it
        }
        statistics[params.mean_offset + channel] = mean + weights[params.bias_offset + channel];
        statistics[params.var_offset + channel] = all.z / (all.x - 1.0);
    }
}
