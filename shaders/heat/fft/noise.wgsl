// The spectrum of the observation's noise: zero where the observation is exact (NOISY is 0).

// [fields, nx, ny]; not read if NOISY is 0
@group(3) @binding(0) var<storage, read> noise_spectrum: array<real2>;

fn noise_mode(index: u32) -> real2 {
    if NOISY == 1u {
        return noise_spectrum[index];
    }
    return real2();
}
