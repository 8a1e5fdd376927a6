// What an operator without a phase does to a mode: times K.

@group(0) @binding(2) var<storage, read> kernel: array<real>; // K [nx, ny]

fn transferred(mode: u32, value: real2) -> real2 {
    return kernel[mode] * value;
}
