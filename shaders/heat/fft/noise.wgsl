// The spectrum of the observation's noise.

@group(3) @binding(0) var<storage, read> noise_spectrum: array<real2>; // [fields, nx, ny]

fn noise_mode(index: u32) -> real2 {
    return noise_spectrum[index];
}
