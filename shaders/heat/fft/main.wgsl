//! needs heat/fft/lines

// FFT of complex fields along one axis, between what `load` reads and what `store` writes (fft/lines.wgsl).
//
// Normalisation: forward none; inverse 1/LENGTH, so both axes together give 1/N.
// Output order: unshifted. A workgroup transforms LINES neighbouring lines.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first_line = workgroup.x * LINES;
    gather(first_line, local, INVERSE == 1u);
    transform(local);
    scatter(first_line, local, INVERSE == 1u);
}
