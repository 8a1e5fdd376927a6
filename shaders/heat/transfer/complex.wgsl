//! needs lib/complex

// What an operator with a phase does to a mode: times H = K·exp(iφ).

@group(0) @binding(2) var<storage, read> transfer: array<real2>; // H [nx, ny]

fn transferred(mode: u32, value: real2) -> real2 {
    return multiply(transfer[mode], value);
}
