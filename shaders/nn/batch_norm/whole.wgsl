// The moments are those of the batch: makes the channel's normalisation, and says what the batch adds to the
// running statistics (method §5).

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
@group(0) @binding(2) var<storage, read> weights: array<f32>; // the flat parameters
// [all channels, 2], the first: mean, rstd, scale, shift
@group(0) @binding(3) var<storage, read_write> norms: array<vec4<f32>>;
// The flat statistics: means with the bias, unbiased variances
@group(0) @binding(4) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(5) var<storage, read> packed: array<f32>; // the weights with their pivots

fn conclude(channel: u32, all: vec3<f32>) {
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
