// Backward of ReLU(batch norm(z)), second part: adds up the chunks. ∂L/∂β = Σg, ∂L/∂γ = Σg·ẑ, and the means
// that the third part subtracts. One workgroup per channel.

struct Params {
    chunks: u32,
    gamma_offset: u32,
    beta_offset: u32,
    count: f32, // values per channel: batch·cells
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec2<f32>>; // [channels, chunks]
@group(0) @binding(2) var<storage, read_write> gradients: array<f32>; // the flat parameter gradients
@group(0) @binding(3) var<storage, read_write> means: array<vec2<f32>>; // [channels]: Σg/n, Σgẑ/n

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let channel = workgroup.x;
    var sums = vec2(0.0);
    for (var chunk = local; chunk < params.chunks; chunk += WORKGROUP) {
        sums += partial[channel * params.chunks + chunk];
    }
    let g = workgroup_sum(local, sums.x);
    let gz = workgroup_sum(local, sums.y);
    if local == 0u {
        gradients[params.beta_offset + channel] = g;
        gradients[params.gamma_offset + channel] = gz;
        means[channel] = vec2(g, gz) / params.count;
    }
}
